import assert from "node:assert/strict";
import type { Sandbox } from "e2b";

/** Ticks of a hundredth of a second that each process has used, with its name. Its own shell is not in it: it is too young. */
const TICKS = `cat /proc/[0-9]*/stat 2>/dev/null | awk '{print $1, $2, $14+$15}'`;
const WINDOW_SECONDS = 2;
/** Of one CPU, all processes together. */
const MOST_PERCENT = 5;
/** What wakes has pages to fetch and connections to close; what spins never comes to rest. */
const WINDOWS = 4;

interface Use {
	name: string;
	percent: number;
}

/** Of one process: what works now and then stays below this, what spins does not. */
const SPINS_PERCENT = 60;

/** Asserts that no process of a sandbox spins, also where some have work to do. */
export async function assertNoSpin(sandbox: Sandbox, what: string): Promise<void> {
	let used: Use[] = [];
	for (let window = 0; window < WINDOWS; window++) {
		used = (await lookAt(sandbox)).filter(({ percent }) => percent >= SPINS_PERCENT);
		if (used.length === 0) return;
	}
	assert.fail(`${what}: something spins in the sandbox: ${JSON.stringify(used)}`);
}

/**
 * Asserts that what is in a sandbox comes to use next to nothing of a CPU for two seconds. A test that only looks at answers
 * does not see a program that spins.
 */
export async function assertQuiet(sandbox: Sandbox, what: string): Promise<void> {
	let used: Use[] = [];
	for (let window = 0; window < WINDOWS; window++) {
		used = await lookAt(sandbox);
		if (used.reduce((sum, { percent }) => sum + percent, 0) < MOST_PERCENT) return;
	}
	assert.fail(`${what}: what is in the sandbox uses ${JSON.stringify(used)} of a CPU`);
}

/** What used anything of a CPU over a window. */
async function lookAt(sandbox: Sandbox): Promise<Use[]> {
	const { stdout } = await sandbox.commands.run(`${TICKS}; echo; sleep ${WINDOW_SECONDS}; ${TICKS}`, {
		timeoutMs: 120_000,
		requestTimeoutMs: 120_000,
	});
	const [before = new Map<string, number>(), after = new Map<string, number>()] = stdout.split("\n\n").map(ticks);
	return [...after].flatMap(([name, now]) => {
		const then = before.get(name);
		return then === undefined || now === then ? [] : [{ name, percent: (now - then) / WINDOW_SECONDS }];
	});
}

function ticks(text: string): Map<string, number> {
	const rows = text.trim().split("\n");
	return new Map(rows.map((row) => [row.replace(/ \S+$/, ""), Number(/\S+$/.exec(row)?.[0])]));
}
