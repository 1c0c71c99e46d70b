import { execFileSync } from "node:child_process";
import { mkdirSync, writeSync } from "node:fs";
import { join } from "node:path";
import { compare, type Side } from "./compare.ts";

// The program that `diff.ts` runs in a mount namespace of its own: what it mounts is gone with it, however it ends.
// Arguments: an empty directory, the root file system, and the two disk images, which are its own to replay journals in.
const [work = "", lower = "", imageA = "", imageB = ""] = process.argv.slice(2);

function mount(name: string, image: string): Side {
	const [disk, merged] = [join(work, name, "disk"), join(work, name, "merged")];
	for (const dir of [disk, merged]) mkdirSync(dir, { recursive: true });
	// Writable, for the journal to be replayed; nothing else writes to it.
	const guarded = "nosuid,nodev,noexec";
	execFileSync("mount", ["-t", "ext4", "-o", `loop,noatime,${guarded}`, image, disk]);
	const upper = join(disk, "upper");
	execFileSync("mount", ["-t", "overlay", "-o", `ro,${guarded},lowerdir=${upper}:${lower}`, "dormice-diff", merged]);
	return { upper, merged };
}

const text = JSON.stringify(compare(mount("a", imageA), mount("b", imageB)));
for (let at = 0; at < text.length; at += 65_536) writeSync(1, text.slice(at, at + 65_536));
