import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import type { Operation } from "./operation.ts";

const SHOWN_WITHIN_MS = 20_000;

/** What the supervisor holds in its hands. */
export const TERMINALS: readonly Operation[] = [
	{
		name: "the supervisor's terminals and children across a sleep",
		weight: 2,
		run: async (subject, { random }) => {
			const before = await subject.connect();
			const child = await before.commands.run("exec sleep 100000", { background: true, timeoutMs: 0 });
			await child.disconnect();
			const opened = await before.pty.create({ cols: 80, rows: 24, timeoutMs: 0, onData: () => undefined });
			const { pid } = opened;
			const number = random.between(1, 1_000_000);
			await before.pty.sendInput(pid, Buffer.from(`number=${number}\n`));
			await opened.disconnect();
			const children = (await before.commands.list()).map((one) => one.pid).toSorted();
			assert.ok(children.includes(pid) && children.includes(child.pid));
			await subject.pause();

			const after = await subject.connect();
			assert.deepEqual((await after.commands.list()).map((one) => one.pid).toSorted(), children);
			let screen = "";
			const onData = (data: Uint8Array) => {
				screen += Buffer.from(data).toString();
			};
			const terminal = await after.pty.connect(pid, { onData, timeoutMs: 0 });
			await after.pty.sendInput(pid, Buffer.from('echo "<$((number + 1))>"\n'));
			for (const deadline = Date.now() + SHOWN_WITHIN_MS; !screen.includes(`<${number + 1}>`); await sleep(20))
				assert.ok(Date.now() < deadline, `a terminal shows ${JSON.stringify(screen)}`);
			await terminal.disconnect();
			for (const one of [pid, child.pid]) assert.ok(await after.commands.kill(one));
			for (const deadline = Date.now() + SHOWN_WITHIN_MS; ; await sleep(50)) {
				const left = (await after.commands.list()).map((one) => one.pid);
				if (!left.includes(pid) && !left.includes(child.pid)) break;
				assert.ok(Date.now() < deadline, "a killed child is still listed");
			}
		},
	},
];
