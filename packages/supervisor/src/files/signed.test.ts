import assert from "node:assert/strict";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { json, TestGuest } from "../testing.ts";
import { type Operation, sign } from "./signature.ts";

const TOKEN = "0tQG31xiMp0IOQfaz9dcwi72L1CPo8e0";

test("with an access token: the header, or a signature", async () => {
	await using closed = await TestGuest.start();
	const init = (body: object, headers = {}) =>
		closed.tell("/init", { method: "POST", headers, body: JSON.stringify(body) });
	assert.equal((await init({ accessToken: TOKEN })).status, 204);
	assert.equal((await init({ accessToken: "other" })).status, 401);
	assert.equal((await init({ accessToken: TOKEN, envVars: { A: "1" } })).status, 204);
	assert.equal((await closed.fetch("/health")).status, 204);
	const refused = await closed.fetch("/envs");
	assert.deepEqual([refused.status, (await json(refused)).code], [401, 401]);
	assert.deepEqual(await (await closed.fetch("/envs", { headers: { "x-access-token": TOKEN } })).json(), { A: "1" });
	const rpc = await closed.fetch("/process.Process/List", {
		method: "POST",
		headers: { "content-type": "application/json" },
		body: "{}",
	});
	assert.equal(rpc.status, 401);

	const path = "/etc/passwd";
	const link = async (query: string) => {
		const answer = await closed.fetch(`/files?path=${encodeURIComponent(path)}${query}`);
		return answer.status === 200 ? 200 : (await json(answer)).message;
	};
	const signed = (expiration?: string) =>
		`&signature=${encodeURIComponent(sign({ path, operation: "read", user: "", expiration }, TOKEN))}${expiration ? `&signature_expiration=${expiration}` : ""}`;
	assert.equal(await link(""), "missing signature query parameter");
	assert.equal(await link("&signature=v1_x"), "invalid signature");
	assert.equal(await link(signed("1000")), "signature is already expired");
	assert.equal(await link(signed("9999999999")), 200);
	assert.equal(await link(signed()), 200);
	assert.equal((await init({ accessToken: "other" }, { "x-access-token": TOKEN })).status, 204);
	assert.equal(await link(signed()), "invalid signature");
});

let guest: TestGuest;
before(async () => {
	guest = await TestGuest.start();
	const body = JSON.stringify({ accessToken: TOKEN, defaultUser: "games" });
	assert.equal((await guest.tell("/init", { method: "POST", body })).status, 204);
});
after(() => guest[Symbol.asyncDispose]());

/** A link of this operation, signed for what is in its query. */
function link(operation: Operation, query: { path: string; username?: string; signature_expiration?: string }): string {
	const { path, username: user = "", signature_expiration: expiration } = query;
	const signature = sign({ path, operation, user, expiration }, TOKEN);
	return `/files?${new URLSearchParams({ ...query, signature })}`;
}

const ROOTS = { authorization: `Basic ${Buffer.from("root:").toString("base64")}` };

for (const [what, query, owner] of [
	["without a user", {}, 5],
	["with an empty user", { username: "" }, 5],
	["with a user", { username: "daemon" }, 1],
	["with root", { username: "root" }, 0],
] as const) {
	test(`a link signed ${what} is that user's, whatever a header says`, async () => {
		const path = join(guest.directory, `by-link-${owner}`);
		const headers = { ...ROOTS, "content-type": "application/octet-stream" };
		const written = await guest.fetch(link("write", { path, ...query }), { method: "POST", headers, body: "x" });
		assert.deepEqual([written.status, statSync(path).uid], [200, owner]);
		const home = readFileSync("/etc/passwd", "utf8")
			.split("\n")
			.find((line) => line.split(":")[2] === `${owner}`);
		const read = await guest.fetch(link("read", { path: "no-such-file", ...query }), { headers: ROOTS });
		assert.equal(
			(await json(read)).message,
			`path '${join(home?.split(":")[5] ?? "", "no-such-file")}' does not exist`,
		);
	});
}

test("with the access token, the header names the user", async () => {
	const headers = { ...ROOTS, "x-access-token": TOKEN, "content-type": "application/octet-stream" };
	const path = join(guest.directory, "by-token");
	assert.equal((await guest.fetch(`/files?path=${path}`, { method: "POST", headers, body: "x" })).status, 200);
	assert.equal(statSync(path).uid, 0);
});

for (const [what, more, status] of [
	["another user", "&username=root", 401],
	["a second user", "&username=&username=root", 400],
	["a second path", "&path=/etc/shadow", 400],
	["a second signature", "&signature=v1_x", 400],
	["an expiration that was not signed", "&signature_expiration=9999999999", 401],
	["an empty expiration", "&signature_expiration=", 401],
] as const) {
	test(`a link that somebody added ${what} to is refused`, async () => {
		const answer = await guest.fetch(link("read", { path: "/etc/passwd" }) + more, { headers: ROOTS });
		assert.equal(answer.status, status);
	});
}

for (const expiration of ["", "abc", "NaN", "1e400", "1000"]) {
	test(`a link signed with the expiration '${expiration}' opens nothing`, async () => {
		const answer = await guest.fetch(link("read", { path: "/etc/passwd", signature_expiration: expiration }));
		assert.equal(answer.status, 401);
	});
}

test("a form whose part has no file name is stored by a signed link, as E2B's own test sends it", async () => {
	const path = join(guest.directory, "signed-form");
	const form = new FormData();
	form.append("file", "This is a test file.");
	const answer = await guest.fetch(link("write", { path, username: "games" }), { method: "POST", body: form });
	assert.deepEqual([answer.status, await answer.json()], [200, [{ path, name: "signed-form", type: "file" }]]);
	assert.equal(readFileSync(path, "utf8"), "This is a test file.");
});
