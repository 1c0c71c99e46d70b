import assert from "node:assert/strict";
import { test } from "node:test";
import { backportsSource, hasBackports } from "./backports.ts";

const DEB822 = `Types: deb deb-src
# a remark
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`;

const rows: [what: string, path: string, text: string, expected: string | undefined][] = [
	[
		"deb822",
		"debian.sources",
		DEB822,
		"Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main contrib\n" +
			"Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
	],
	[
		"one line, with options",
		"sources.list",
		"# deb cdrom:[x]/ bookworm main\ndeb-src http://mirror.example/debian bookworm main\n" +
			"deb [arch=amd64,i386 signed-by=/k.gpg] http://mirror.example/debian bookworm main non-free # x\n",
		"Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm-backports\nComponents: main non-free\n" +
			"Architectures: amd64 i386\nSigned-By: /k.gpg\n",
	],
	[
		"a key written out",
		"a.sources",
		"Types: deb\nURIs: http://m.example/\nSuites: bookworm\nComponents: main\nSigned-By:\n -----BEGIN-----\n .\n abc\n",
		"Types: deb\nURIs: http://m.example/\nSuites: bookworm-backports\nComponents: main\nSigned-By: \n -----BEGIN-----\n .\n abc\n",
	],
	["a disabled source", "a.sources", "Enabled: no\nTypes: deb\nURIs: http://m.example/\nSuites: bookworm\n", undefined],
	["another release", "sources.list", "deb http://mirror.example/debian trixie main\n", undefined],
];

for (const [what, path, text, expected] of rows) {
	test(`the backports source made from: ${what}`, () => {
		assert.equal(backportsSource([{ path, text }], "bookworm"), expected);
	});
}

test("backports that are there are found", () => {
	const list = { path: "a.list", text: "deb http://mirror.example/debian bookworm-backports main\n" };
	assert.ok(hasBackports([{ path: "debian.sources", text: DEB822 }, list], "bookworm"));
	assert.ok(!hasBackports([{ path: "debian.sources", text: DEB822 }], "bookworm"));
});
