# fish completion for caisson: the program knows its own commands, options and settings, this only asks it.
function __caisson_complete
    set -l words (commandline -opc)
    $words[1] __complete $words[2..-1] (commandline -ct) 2>/dev/null | string match -v -r '^:'
end
complete -c caisson -f -a '(__caisson_complete)'
