import type { Link } from "../guest/link.ts";
import { callSupervisor } from "../guest/supervisor.ts";

/** Whether a supervisor answers at all; whoever asks at the same time shares the question. */
const asking = new WeakMap<Link, Promise<boolean>>();

/**
 * Calls `stands` when a supervisor has answered neither a request nor, after half of `withinMs`, whether it is well. One
 * that is only slow with an answer is waited for. Returns the way to say that it has answered.
 */
export function whileSilent(link: Link, withinMs: number, stands: (waitedMs: number) => void): () => void {
	const beganAtMs = performance.now();
	let over = false;
	const look = async () => {
		const isWell = await answers(link, withinMs / 2);
		if (over) return;
		if (isWell) timer = setTimeout(() => void look(), withinMs / 2);
		else stands(performance.now() - beganAtMs);
	};
	let timer = setTimeout(() => void look(), withinMs / 2);
	return () => {
		over = true;
		clearTimeout(timer);
	};
}

function answers(link: Link, timeoutMs: number): Promise<boolean> {
	let answer = asking.get(link);
	if (answer === undefined) {
		const call = callSupervisor(link, { method: "GET", path: "/health", timeoutMs, keepAlive: false });
		answer = call.then(
			() => true,
			() => false,
		);
		asking.set(link, answer);
		void answer.finally(() => asking.delete(link));
	}
	return answer;
}
