# SPDX-License-Identifier: Apache-2.0
# lib.sh: what all scripts of the front door share: progress lines, root rights, cache and account.
# Sourced by tools/*, never run. Changes nothing by itself.
# shellcheck shell=bash
set -euo pipefail

top=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")
export CAISSON_T0=${CAISSON_T0:-$EPOCHREALTIME}
export LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive
# The system's Python has the modules that its packages install; another one in PATH has not.
export PATH=/usr/bin:/usr/sbin:/bin:/sbin:$PATH
umask 022

# say TEXT...: one progress line with the time since the first script of this run began.
say() {
	local us=$((${EPOCHREALTIME/[.,]/} - ${CAISSON_T0/[.,]/}))
	printf '[%5d.%d s] %s\n' $((us / 1000000)) $((us / 100000 % 10)) "$*" >&2
}

die() {
	say "error: $*"
	exit 1
}

# quietly NAME COMMAND...: hides the output unless V=1 or the command fails.
quietly() {
	local name=$1 log
	shift
	if [[ -n ${V:-} ]]; then
		"$@" >&2
		return
	fi
	log=$(mktemp)
	if ! "$@" >"$log" 2>&1 </dev/null; then
		tail -n 25 "$log" >&2
		rm -f "$log"
		die "$name failed (the last lines are above; V=1 shows everything)"
	fi
	rm -f "$log"
}

# as_root COMMAND...: directly when we are root, otherwise through sudo.
as_root() {
	if ((EUID == 0)); then
		"$@"
	else
		command -v sudo >/dev/null || die "sudo is missing: run this as root once, or install sudo"
		sudo --preserve-env=DEBIAN_FRONTEND,LC_ALL,APT_CONFIG "$@"
	fi
}

cache=${XDG_CACHE_HOME:-${HOME:?HOME is not set}/.cache}/caisson
mkdir -p "$cache"

# with_lock NAME COMMAND...: one at a time among all clones that share the cache.
with_lock() {
	local lock_name_=$1 lock_fd_
	shift
	mkdir -p "$cache/lock"
	exec {lock_fd_}>"$cache/lock/$lock_name_"
	if ! flock -n "$lock_fd_"; then
		say "waiting for another build of the $lock_name_"
		flock "$lock_fd_"
	fi
	"$@"
	exec {lock_fd_}>&-
}

# The account the desktop runs as: the caller, or "caisson" when root calls.
default_account() {
	if ((EUID == 0)); then
		echo "${CAISSON_ACCOUNT:-caisson}"
	else
		id -un
	fi
}

# ensure_account NAME: makes the ordinary account that root works on behalf of, and says so.
ensure_account() {
	((EUID == 0)) || return 0
	if ! id "$1" >/dev/null 2>&1; then
		useradd --create-home --shell /bin/bash --comment 'Caisson desktop' "$1"
		say "created the ordinary account \"$1\": the desktop refuses to run as root, so it runs on behalf of that account"
	fi
	[[ $(id -u "$1") != 0 ]] || die "the account \"$1\" is root; choose another with CAISSON_ACCOUNT="
	# The accelerator's device: without it the machine falls back to software emulation.
	if [[ -e /dev/kvm && $(stat -c %G /dev/kvm) == kvm ]] && ! id -nG "$1" | grep -qw kvm; then
		usermod -aG kvm "$1"
		say "added the account \"$1\" to the group kvm"
	fi
}

# run_as ACCOUNT COMMAND...: with that account's rights, home and a clean environment.
run_as() {
	local account=$1 home
	shift
	if [[ $(id -un) == "$account" ]]; then
		"$@"
		return
	fi
	home=$(getent passwd "$account" | cut -d: -f6)
	env -i -C / HOME="$home" USER="$account" LOGNAME="$account" SHELL=/bin/bash PATH=/usr/local/bin:/usr/bin:/bin \
		LC_ALL="$LC_ALL" TERM="${TERM:-dumb}" /usr/bin/setpriv --reuid="$account" --regid="$(id -g "$account")" \
		--init-groups "$@"
}

default_prefix() {
	if [[ -n ${PREFIX:-} ]]; then
		readlink -m "$PREFIX"
	elif ((EUID == 0)); then
		echo /opt/caisson
	else
		echo "$HOME/.local"
	fi
}
