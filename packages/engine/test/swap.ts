import { execFileSync } from "node:child_process";
import { existsSync, rmSync } from "node:fs";

const PATH = "/var/tmp/dormice-test-swap";
const SIZE = "1G";

/** Swap on this host while it is there, as Debian's installer makes some on every machine. */
export class Swap implements Disposable {
	/** Throws where this host allows none. */
	constructor() {
		this[Symbol.dispose]();
		try {
			run("fallocate", "-l", SIZE, PATH);
			run("chmod", "600", PATH);
			run("mkswap", "-q", PATH);
			run("swapon", PATH);
		} catch (error) {
			rmSync(PATH, { force: true });
			throw error;
		}
	}

	[Symbol.dispose](): void {
		if (!existsSync(PATH)) return;
		try {
			run("swapoff", PATH);
		} catch (error) {
			// A test that was killed may have left the file without it in use.
			if (!String(error).includes("Invalid argument")) throw error;
		}
		rmSync(PATH);
	}
}

function run(program: string, ...args: string[]): void {
	execFileSync(program, args, { stdio: ["ignore", "ignore", "pipe"] });
}
