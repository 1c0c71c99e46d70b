import assert from "node:assert/strict";
import { test } from "node:test";
import { permissionString } from "./permissions.ts";

// What Go's os.FileMode.String() prints for the same files.
for (const [mode, printed] of [
	[0o100644, "-rw-r--r--"],
	[0o040755, "drwxr-xr-x"],
	[0o120777, "Lrwxrwxrwx"],
	[0o041777, "dtrwxrwxrwx"],
	[0o104755, "urwxr-xr-x"],
	[0o102755, "grwxr-xr-x"],
	[0o020620, "Dcrw--w----"],
	[0o060660, "Drw-rw----"],
	[0o010644, "prw-r--r--"],
	[0o140755, "Srwxr-xr-x"],
	[0o100000, "----------"],
] as const) {
	test(`0${mode.toString(8)} is ${printed}`, () => assert.equal(permissionString(mode), printed));
}
