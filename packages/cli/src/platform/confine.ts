/** What a confined process is and what it sees. */
export interface Confinement {
	uid: number;
	gid: number;
	/** Paths it sees and cannot change. */
	readOnly: readonly string[];
	/** Paths it sees and may change as far as their permissions go. */
	writable: readonly string[];
	/** A library that filters its system calls, preloaded into it: what starts it needs more of them. */
	filter?: string;
	/** An empty directory that the new root is mounted on, in the process's own mount namespace. */
	emptyRoot: string;
}

/**
 * Builds the root directory of a confined process in its own mount namespace: the system's programs and
 * libraries, `/proc`, `/dev`, an empty `/tmp`, and the named paths at their own names (so that it does not
 * matter whether a directory above them is closed to the user). Everything else of the host is not there,
 * which also means that no mount of a sandbox is held busy from here.
 */
const ENTER = `set -e
PATH=/usr/sbin:/usr/bin:/sbin:/bin
# Whatever root's own is, the directories on the way to what it sees can be passed.
umask 022
root=$1 uid=$2 gid=$3
shift 3
mount -t tmpfs -o mode=0755,size=64m tmpfs "$root"
place() {
	if [ -d "$1" ]; then mkdir -p "$root$1"; else mkdir -p "$root\${1%/*}"; : > "$root$1"; fi
	mount --bind "$1" "$root$1"
	[ "$2" = writable ] || mount -o remount,bind,ro "$root$1"
}
for path in /bin /sbin /lib /lib32 /lib64; do
	if [ -L "$path" ]; then cp -P "$path" "$root$path"; elif [ -d "$path" ]; then place "$path" read-only; fi
done
for path in /usr /etc /run/systemd/resolve; do
	[ ! -d "$path" ] || place "$path" read-only
done
mkdir -p "$root/proc" "$root/dev" "$root/tmp" "$root/.host"
# Before the named paths: one of them may be a socket's directory below /tmp.
mount -t tmpfs -o mode=1777,size=256m tmpfs "$root/tmp"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
while [ "$1" != -- ]; do
	place "$2" "$1"
	shift 2
done
shift
cd "$root"
pivot_root . .host
umount -l /.host
rmdir /.host
mount -o remount,ro /
exec setpriv --reuid "$uid" --regid "$gid" --clear-groups --no-new-privs --inh-caps=-all --bounding-set=-all "$@"`;

/** The command line that runs `command` confined. It execs all the way: the pid stays the same. */
export function confined(command: readonly string[], confinement: Confinement): string[] {
	const filter = confinement.filter === undefined ? [] : [confinement.filter];
	const binds = [
		...[...confinement.readOnly, ...filter].map((path) => ["read-only", path] as const),
		...confinement.writable.map((path) => ["writable", path] as const),
	].sort(([, a], [, b]) => a.length - b.length); // a directory before what is inside it
	return [
		...["unshare", "--mount", "--propagation", "private", "sh", "-c", ENTER, "dormice-confine"],
		confinement.emptyRoot,
		String(confinement.uid),
		String(confinement.gid),
		...binds.flat(),
		"--",
		...filter.flatMap((path) => ["env", `LD_PRELOAD=${path}`]),
		...command,
	];
}
