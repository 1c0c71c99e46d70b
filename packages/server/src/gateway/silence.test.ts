import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { GUEST } from "@dormice/protocol";
import { Sandbox } from "e2b";
import { APP_PORT } from "../testing/fake-guest.ts";
import { TestPlatform } from "../testing/platform.ts";

const WITHIN_MS = 600;

test("a supervisor that stands still is told in time; an application may take as long as it likes", async () => {
	await using platform = await TestPlatform.open();
	await platform.stop();
	await platform.start({ answerWithinMs: WITHIN_MS });
	const { sandboxId } = await Sandbox.create({ ...platform.e2b, timeoutMs: 600_000 });
	const guest = platform.engine.guest(sandboxId);
	guest.freeze();
	const beganAtMs = performance.now();
	let applicationAnswered = false;
	const application = platform.sandbox(sandboxId, APP_PORT, "/count").then((answer) => {
		applicationAnswered = true;
		return answer.status;
	});
	const answers = await Promise.all(
		["GET", "POST"].map((method) => platform.sandbox(sandboxId, GUEST.supervisorPort, "/files", { method })),
	);
	for (const answer of answers) {
		assert.equal(answer.status, 504);
		assert.equal(((await answer.json()) as { reason: string }).reason, "guest_unhealthy");
	}
	assert.ok(performance.now() - beganAtMs < 5 * WITHIN_MS);
	await sleep(2 * WITHIN_MS);
	assert.equal(applicationAnswered, false);
	guest.thaw();
	assert.equal(await application, 200);
	assert.equal((await platform.sandbox(sandboxId, GUEST.supervisorPort, "/files")).status, 200, "and then it is heard");
	await Sandbox.kill(sandboxId, platform.e2b);
});
