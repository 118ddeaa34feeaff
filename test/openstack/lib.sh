# shellcheck shell=bash
# Shared by up and down: which processes are ours.
#
# Each server leads its own session, so that its session holds it and its
# workers. Its pid file is "PID STARTTIME": a recycled pid is never taken for it.

say() { echo "${0##*/}: $*" >&2; }
die() { say "$*"; exit 1; }

# starttime PID prints the start time of a live process, and nothing for a zombie
# (process 1 of a container may be slow to reap).
starttime() {
  { sed 's/^.*) //' "/proc/$1/stat" | awk '$1 != "Z" && $1 != "X" { print $20 }'; } 2>/dev/null || true
}

# session PID prints the live processes of that session.
session() {
  awk -v s="$1" '{ sub(/^.*\) /, ""); if ($4 == s && $1 != "Z") { split(FILENAME, a, "/"); print a[3] } }' \
    /proc/[0-9]*/stat 2>/dev/null || true
}

# alive NAME: the server of that name in state directory $S runs.
alive() {
  local pid start
  [ -s "$S/run/$1.pid" ] && read -r pid start <"$S/run/$1.pid" || return 1
  [ -n "$start" ] && [ "$(starttime "$pid")" = "$start" ]
}
