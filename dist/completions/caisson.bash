# bash completion for caisson                                            -*- shell-script -*-
# The program knows its own commands, options and settings: this only asks it.
_caisson()
{
	local IFS=$'\n' word
	local -a words=()

	# bash splits "--format=json" at the sign; the program takes the value as the next word.
	for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
		[[ $word == = ]] || words+=("$word")
	done
	word=${COMP_WORDS[COMP_CWORD]}
	[[ $word == = ]] && word=
	COMPREPLY=($("${COMP_WORDS[0]}" __completeNoDesc "${words[@]}" "$word" 2>/dev/null | grep -v '^:'))
}
complete -F _caisson caisson
