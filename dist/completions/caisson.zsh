#compdef caisson
# zsh completion for caisson: the program knows its own commands, options and settings, this only asks it.
_caisson()
{
	local line
	local -a found

	for line in ${(f)"$(${words[1]} __complete "${(@)words[2,CURRENT]}" 2>/dev/null)"}; do
		[[ $line == :* ]] && continue
		found+=("${${line%%$'\t'*}//:/\\:}:${line#*$'\t'}")
	done
	_describe -V caisson found
}
if [[ ${zsh_eval_context[-1]} == loadautofunc ]]; then
	_caisson "$@"
else
	compdef _caisson caisson
fi
