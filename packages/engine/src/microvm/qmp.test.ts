import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { Qmp, qmp } from "./qmp.ts";

/** QEMU's side: greets, and says of each command what `answer` writes. */
async function listening(answer: (execute: string, write: (message: object) => void, socket: Socket) => void) {
	const dir = await mkdtemp(join(tmpdir(), "dormice-qmp-"));
	const path = join(dir, "socket");
	const server = createServer((socket) => {
		const write = (message: object) => socket.write(`${JSON.stringify(message)}\r\n`);
		write({ QMP: { version: {} } });
		createInterface({ input: socket }).on("line", (line) => {
			const { execute } = JSON.parse(line) as { execute: string };
			if (execute === "qmp_capabilities") write({ return: {} });
			else answer(execute, write, socket);
		});
	});
	await new Promise<void>((resolve) => server.listen(path, resolve));
	const close = async () => {
		server.close();
		await rm(dir, { recursive: true });
	};
	return { path, [Symbol.asyncDispose]: close };
}

test("commands are answered in order, again over the same connection, and events between them are no answers", async () => {
	await using qemu = await listening((execute, write) => {
		write({ event: "STOP" });
		write({ return: execute });
	});
	using connection = new Qmp(qemu.path);
	assert.deepEqual(await connection.run([["a"], ["b", { with: 1 }]]), ["a", "b"]);
	assert.deepEqual(await connection.run([["c"]]), ["c"]);
});

test("an event is waited for, whether it comes before the answer or after it", async () => {
	for (const first of [true, false]) {
		await using qemu = await listening((execute, write) => {
			if (first) write({ event: "RESUME" });
			write({ return: execute });
			if (!first) setTimeout(() => write({ event: "RESUME" }), 20);
		});
		assert.deepEqual(await qmp(qemu.path, [["cont"]], { until: "RESUME" }), ["cont"]);
	}
});

test("a refusal, an end and silence are errors that name the command", async () => {
	await using qemu = await listening((execute, write, socket) => {
		if (execute === "refused") write({ error: { desc: "not now" } });
		if (execute === "ends") socket.destroy();
	});
	const failing = (said: RegExp) => ({ reason: "command_failed", message: said });
	await assert.rejects(qmp(qemu.path, [["refused"]]), failing(/QEMU's refused.*not now/));
	await assert.rejects(qmp(qemu.path, [["ends"]]), failing(/QEMU's ends failed: QEMU closed the connection/));
	await assert.rejects(
		qmp(qemu.path, [["silent"]], { timeoutMs: 50 }),
		failing(/QEMU's silent failed: no answer in 50 ms/),
	);
	await assert.rejects(qmp(`${qemu.path}-none`, [["any"]]), failing(/ENOENT/));
});
