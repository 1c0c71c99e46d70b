import assert from "node:assert/strict";
import { test } from "node:test";
import { readExtents, shares } from "./extents.ts";

const PRINTED = `Filesystem type is: 9123683e
File size of /pool/a is 8192 (8192 blocks of 1 bytes)
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..    4095:   13631488..  13635583:   4096:             shared
   1:     8192..   12287:   13639680..  13643775:   4096:   13635584: last,eof
/pool/a: 2 extents found
 ext:     logical_offset:        physical_offset: length:   expected: flags:
   0:        0..    4095:          0..      4095:   4096:             last,not_aligned,inline,eof
/pool/b: 1 extent found`;

test("reads what filefrag prints", () => {
	assert.deepEqual(readExtents(PRINTED, 7), [
		{ start: 13631488, length: 4096, holder: 7 },
		{ start: 13639680, length: 4096, holder: 7 },
	]);
});

test("what groups take, and what would be free without them", () => {
	const extents = [
		{ start: 0, length: 100, holder: 0 },
		{ start: 50, length: 100, holder: 1 },
		{ start: 50, length: 10, holder: 2 },
		{ start: 500, length: 5, holder: 2 },
		// A file that refers to one block twice.
		{ start: 50, length: 10, holder: 2 },
	];
	const groups = [[0], [1], [2], [0, 1], [0, 1, 2], [1, 2], []].map((group) => new Set(group));
	assert.deepEqual(
		shares(extents, groups).map(({ bytes, ownBytes }) => [bytes, ownBytes]),
		[
			[100, 50],
			[100, 50],
			[15, 5],
			[150, 140],
			[155, 155],
			[105, 55],
			[0, 0],
		],
	);
});
