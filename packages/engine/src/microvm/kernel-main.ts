/**
 * Makes the kernel of microVMs; set-up runs it.
 *
 *   node kernel-main.ts --data DIR [--from DIR]
 *
 * Needs gcc, kmod and erofs-utils, and apt for Debian's kernel. Prints its progress, and the version as its last line.
 */
import { parseArgs } from "node:util";
import { DormiceError } from "@dormice/protocol";
import { buildKernel } from "./kernel-build.ts";

const { data, from } = parseArgs({ options: { data: { type: "string" }, from: { type: "string" } } }).values;
if (!data) throw new DormiceError("invalid_argument", "say where the kernel goes: kernel-main.ts --data DIR");
console.log(await buildKernel({ data, from, onLine: (line) => console.log(line) }));
