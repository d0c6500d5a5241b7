# shellcheck shell=bash
# Completion of `shard` in bash. What there is to complete is asked of the program itself: its help
# names the subcommands and their options.

_shard_files() {  # the word so far
  local found name
  compopt -o filenames 2>/dev/null
  mapfile -t found < <(compgen -f -X '!*.npy' -- "$1"; compgen -d -- "$1")
  for name in /dev/shm/shard."$1"*; do
    [[ -e $name ]] && found+=("${name#/dev/shm/shard.}")
  done
  COMPREPLY+=("${found[@]}")
}

_shard() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} subcommand=
  local -a choices=()
  COMPREPLY=()
  ((COMP_CWORD == 1)) || subcommand=${COMP_WORDS[1]}
  # --format=j is three words: = is between words to bash.
  [[ $word != = ]] || word=
  [[ $before != = ]] || before=${COMP_WORDS[COMP_CWORD - 2]}

  case $subcommand:$before in
    *:-f | *:--format)
      choices=(csv json text)
      ;;
    *:-r | *:--rows | head:-n | watch:-s | *:--seconds)
      return # a number
      ;;
    report:-o | report:--output)
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$word")
      return
      ;;
    *)
      if [[ $word == -* ]]; then
        # Unquoted: there may be no subcommand.
        # shellcheck disable=SC2086
        mapfile -t choices < <("${COMP_WORDS[0]}" $subcommand --help 2>/dev/null |
          sed -n 's/^  -/-/p' | grep -oE -- '(^|,)--?[a-z][a-z-]*' | tr -d ,)
      elif [[ -z $subcommand ]]; then
        mapfile -t choices < <("${COMP_WORDS[0]}" --help 2>/dev/null |
          sed -n '/^Subcommands:/,/^$/s/^  \([a-z]\{1,\}\) .*/\1/p')
      elif [[ $subcommand == doctor || $subcommand == status || $subcommand == watch ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -d -- "$word")
        return
      elif [[ $subcommand == report ]]; then
        compopt -o filenames 2>/dev/null
        mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$word"; compgen -d -- "$word")
        return
      elif [[ $subcommand != gc ]]; then
        _shard_files "$word"
        return
      fi
      ;;
  esac
  mapfile -t COMPREPLY < <(compgen -W "${choices[*]}" -- "$word")
}

complete -F _shard shard
