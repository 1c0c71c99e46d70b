import { findGoFunctions } from "./go-program.ts";

/**
 * What is changed in our copies of gVisor releases before April 2026, and since which version of this list.
 *
 * Restoring marks every file that an epoll instance watches as ready, also files that were closed long before but are
 * still pointed to by one that is watched. Nothing can take such an entry away: `epoll_wait` names it for ever, under a
 * descriptor that means another file by now, and any event loop spins. Mended upstream in commit 5d857245b ("vfs: clear
 * temporary notReady lists"). Here the marking returns at once: what was ready when the state was stored is still in the
 * instance's list, and what becomes ready later says so itself.
 */
export const MENDS = "epoll-1,xattr-1";

/**
 * The disk keeps no extended attributes, and what says so differs: a symbolic link answers EBADF, setting those of a FIFO
 * EPERM, and `ls -l`, `cp -a` and `mv` complain. Here each such call on the disk's files answers ENOTSUP, by a jump to the
 * function that says so for files that have none. `setXattr` jumps to `RemoveXattr`: `SetXattr` would write its arguments
 * over its caller's stack.
 */
const DISK = "gvisor.dev/gvisor/pkg/sentry/fsimpl/gofer.(*dentry)";
const NONE = "gvisor.dev/gvisor/pkg/sentry/vfs.FileDescriptionDefaultImpl";
const ANSWERED_BY = [
	["getXattr", "GetXattr"],
	["setXattr", "RemoveXattr"],
	["listXattr", "ListXattr"],
	["removeXattr", "RemoveXattr"],
] as const;
const JUMP = 0xe9;
const JUMP_BYTES = 5;

const MARKS_READY = "gvisor.dev/gvisor/pkg/sentry/vfs.(*epollInterest).afterLoad";
/** `cmp rsp, [r14+16]`: how a Go function that may need more stack begins on x86-64. */
const STACK_CHECK = Buffer.from([0x49, 0x3b, 0x66, 0x10]);
const RETURN = 0xc3;
const MENDED_UPSTREAM = 20260401;

/** Whether this release must be mended before it may store anything. */
export function needsMending(version: string): boolean {
	const date = Number(/20\d{6}/.exec(version)?.[0] ?? 0);
	return date < MENDED_UPSTREAM;
}

/** Mends a release in memory; false when it is built in a way that is not known here, and nothing was changed. */
export function mend(runsc: Buffer): boolean {
	const names = ANSWERED_BY.map(([from, to]) => ({ from: `${DISK}.${from}`, to: `${NONE}.${to}` }));
	const wanted = new Set([MARKS_READY, ...names.flatMap(({ from, to }) => [from, to])]);
	const found = findGoFunctions(runsc, [...wanted]);
	const at = found.get(MARKS_READY);
	const jumps = names.map(({ from, to }) => ({ from: found.get(from), to: found.get(to) }));
	const isKnown = (at: number | undefined, mended: number) =>
		at !== undefined && (runsc[at] === mended || STACK_CHECK.compare(runsc, at, at + STACK_CHECK.length) === 0);
	if (!isKnown(at, RETURN) || !jumps.every(({ from, to }) => isKnown(from, JUMP) && to !== undefined)) return false;
	runsc[at ?? 0] = RETURN;
	for (const { from = 0, to = 0 } of jumps) {
		runsc[from] = JUMP;
		runsc.writeInt32LE(to - from - JUMP_BYTES, from + 1);
	}
	return true;
}
