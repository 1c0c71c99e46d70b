import assert from "node:assert/strict";
import { test } from "node:test";
import { restOf } from "./rest.ts";

const platform = { doze: "idle", dozeAfterMs: 15_000, sleepAfterMs: 600_000 } as const;
const silent = { doze: null, dozeAfterMs: null, sleepAfterMs: null };

const rows: [string, Parameters<typeof restOf>[0], object][] = [
	["nobody says anything", { asked: {}, metadata: {}, template: silent, platform }, platform],
	[
		"the template does",
		{ asked: {}, metadata: {}, template: { ...silent, dozeAfterMs: 0 }, platform },
		{ ...platform, dozeAfterMs: 0 },
	],
	[
		"metadata wins over the template",
		{ asked: {}, metadata: { "dormice.dozeAfterMs": "500" }, template: { ...silent, dozeAfterMs: 0 }, platform },
		{ ...platform, dozeAfterMs: 500 },
	],
	[
		"a field wins over metadata",
		{
			asked: { doze: "idle", sleepAfterMs: 0 },
			metadata: { "dormice.doze": "always", "dormice.sleepAfterMs": "7" },
			template: silent,
			platform,
		},
		{ ...platform, sleepAfterMs: 0 },
	],
];
for (const [name, sources, expected] of rows) {
	test(`how a sandbox rests: ${name}`, () => assert.deepEqual(restOf(sources), expected));
}

test("what makes no sense is refused by name", () => {
	const refused = (metadata: Record<string, string>, asked = {}) =>
		assert.throws(() => restOf({ asked, metadata, template: silent, platform }), { reason: "invalid_argument" });
	refused({ "dormice.doze": "never" });
	refused({ "dormice.dozeAfterMs": "15s" });
	refused({ "dormice.dozeAfterMs": "99999999999" });
	refused({ "dormice.sleepAfterMs": "-1" });
	refused({}, { dozeAfterMs: 5 });
});
