# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Completion of integrityctl for bash.

_integrityctl_devices() {
	dmsetup ls --target integrity 2>/dev/null | sed -n 's/\t.*//p'
}

_integrityctl() {
	local commands="list status watch recalculate restart pause resume cancel check bad-blocks speed reset-mismatches"
	local word=${COMP_WORDS[COMP_CWORD]} command="" options="--json --help" i name
	local devices=0
	COMPREPLY=()

	# The value of an option is not for us to know.
	case "${COMP_WORDS[COMP_CWORD - 1]}" in
	--start|--length|--interval|--min|--max|-s|-l|-i)
		return
		;;
	esac
	for ((i = 1; i < COMP_CWORD; i++)); do
		case "${COMP_WORDS[i]}" in
		--start|--length|--interval|--min|--max|-s|-l|-i)
			i=$((i + 1))
			;;
		-*)
			;;
		*)
			if [ -z "$command" ]; then
				command=${COMP_WORDS[i]}
			else
				devices=$((devices + 1))
			fi
			;;
		esac
	done

	case "$command" in
	"") options+=" --version" ;;
	watch) options+=" --interval" ;;
	recalculate|restart|resume) options+=" --wait --interval" ;;
	check) options+=" --start --length --wait --interval --pause-on-signal" ;;
	speed) options+=" --min --max" ;;
	esac

	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
	elif [ -z "$command" ]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$word")
	elif [ "$command" = watch ] || { [ "$command" != list ] && [ "$devices" -eq 0 ]; }; then
		# Not with compgen -W, which would expand what is in a name.
		while IFS= read -r name; do
			[[ $name != "$word"* ]] || COMPREPLY+=("$(printf %q "$name")")
		done < <(_integrityctl_devices)
	fi
}

complete -F _integrityctl integrityctl
