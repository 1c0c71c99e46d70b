import assert from "node:assert/strict";
import { test } from "node:test";
import { resolvePath } from "./path.ts";
import { parseAccounts } from "./users.ts";

for (const [path, resolved] of [
	["", "/work"],
	["~", "/home/user"],
	["~/a/../b", "/home/user/b"],
	["a/./b/", "/home/user/a/b"],
	["../x", "/home/x"],
	["/a//b/..", "/a"],
	["/../..", "/"],
] as const) {
	test(`'${path}' is ${resolved}`, () => {
		assert.equal(resolvePath(path, { home: "/home/user", workdir: "/work" }), resolved);
	});
}

test("an empty path without a default directory is home", () => {
	assert.equal(resolvePath("", { home: "/home/user" }), "/home/user");
});

for (const path of ["a\0b", "~other", "~other/x"]) {
	test(`${JSON.stringify(path)} is refused`, () => {
		assert.throws(() => resolvePath(path, { home: "/" }), { reason: "invalid_argument" });
	});
}

test("accounts: groups come from both files, the first line of a name counts, nonsense is passed over", () => {
	const { users, userNames, groupNames } = parseAccounts(
		"root:x:0:0:root:/root:/bin/bash\nuser:x:1000:1000::/home/user:/bin/bash\nuser:x:1:1::/:\n# no\nbad\nhomeless:x:5:5:::\n",
		"root:x:0:\nuser:x:1000:\nsudo:x:27:other,user\ndup:x:1000:user\n",
	);
	assert.deepEqual(users.get("user"), {
		name: "user",
		uid: 1000,
		gid: 1000,
		groups: [1000, 27],
		home: "/home/user",
		shell: "/bin/bash",
	});
	assert.deepEqual([users.get("homeless")?.home, users.get("homeless")?.shell], ["/", "/bin/sh"]);
	assert.deepEqual([...users.keys()], ["root", "user", "homeless"]);
	assert.deepEqual([userNames.get(1000), groupNames.get(1000)], ["user", "user"]);
});

for (const id of ["", " ", "0x0", "-1", "1e3", "0 ", "4294967295", "4294967296"]) {
	test(`an account whose number is '${id}' is none`, () => {
		const { users, groupNames } = parseAccounts(`a:x:${id}:5::/:/bin/sh`, `g:x:${id}:user`);
		assert.deepEqual([users.size, groupNames.size], [0, 0]);
	});
}
