import { findGoFunction } from "./go-program.ts";

/**
 * What is changed in our copies of gVisor releases before April 2026, and since which version of this list.
 *
 * Restoring marks every file that an epoll instance watches as ready, also files that were closed long before but are
 * still pointed to by one that is watched. Nothing can take such an entry away: `epoll_wait` names it for ever, under a
 * descriptor that means another file by now, and any event loop spins. Mended upstream in commit 5d857245b ("vfs: clear
 * temporary notReady lists"). Here the marking returns at once: what was ready when the state was stored is still in the
 * instance's list, and what becomes ready later says so itself.
 */
export const MENDS = "epoll-1";

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
	const at = findGoFunction(runsc, MARKS_READY);
	if (at === undefined) return false;
	if (STACK_CHECK.compare(runsc, at, at + STACK_CHECK.length) !== 0) return runsc[at] === RETURN;
	runsc[at] = RETURN;
	return true;
}
