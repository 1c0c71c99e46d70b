import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bestEffort } from "../best-effort.ts";
import { run } from "../command.ts";
import { PORT, server } from "./guest.ts";
import { firstAnswer } from "./http.ts";

const NETNS = "dormice-bench";
const ADDRESS = "10.212.0.2";
const CLI = ["--overlay2=none", "--ignore-cgroups", "--net-disconnect-ok"];

/** gVisor as it comes, on the same root file system: what our own times are measured against. */
export class PlainRunsc implements AsyncDisposable {
	readonly #runsc: string;
	readonly #dir: string;
	readonly #root: string;
	#count = 0;

	private constructor(runsc: string, dir: string) {
		this.#runsc = runsc;
		this.#dir = dir;
		this.#root = join(dir, "root");
	}

	/** `data`: the platform's data directory, for its root file system; `dir`: an empty directory to work in. */
	static async open(data: string, dir: string, runsc: string): Promise<PlainRunsc> {
		const rootfs = readdirSync(join(data, "pool/rootfs")).find((name) => /^base-[a-f0-9]{16}$/.test(name)) ?? "";
		const plain = new PlainRunsc(runsc, dir);
		for (const name of ["upper", "work", "root", "run"]) mkdirSync(join(dir, name), { recursive: true });
		const layers = `lowerdir=${join(data, "pool/rootfs", rootfs)},upperdir=${dir}/upper,workdir=${dir}/work`;
		await run(["mount", "-t", "overlay", "-o", layers, "bench", plain.#root]);
		return plain;
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#removeNetwork();
		await bestEffort("unmount", run(["umount", this.#root]));
		rmSync(this.#dir, { recursive: true, force: true });
	}

	/** `runsc run` of one command, from nothing to its end. */
	async runOnce(): Promise<void> {
		const bundle = this.#bundle(["/bin/bash", "-l", "-c", "true"], undefined);
		await this.#call(["--network=none"], ["run", "--bundle", bundle, this.#id()]);
	}

	/** Stores a server that holds this much memory; one of each size. */
	async checkpoint(memoryMiB: number): Promise<void> {
		const bundle = this.#bundle(["/usr/local/bin/node", "-e", server(memoryMiB)], NETNS);
		const image = this.#image(memoryMiB);
		rmSync(image, { recursive: true, force: true });
		mkdirSync(image);
		await this.#makeNetwork();
		const id = this.#id();
		await this.#call(["--network=sandbox"], ["run", "--detach", "--bundle", bundle, id]);
		await firstAnswer({ host: ADDRESS, port: PORT });
		const save = ["checkpoint", "--compression=none", `--image-path=${image}`, id];
		await this.#call(["--network=sandbox"], save);
		await this.#delete(id);
	}

	/** `runsc restore` of the stored server to its first answer; answers how long that took. */
	async restoreOnce(memoryMiB: number): Promise<number> {
		const bundle = this.#bundle(["/usr/local/bin/node", "-e", server(memoryMiB)], NETNS);
		await this.#makeNetwork();
		const id = this.#id();
		const startedMs = performance.now();
		const image = `--image-path=${this.#image(memoryMiB)}`;
		await this.#call(["--network=sandbox"], ["restore", "--detach", image, "--bundle", bundle, id]);
		await firstAnswer({ host: ADDRESS, port: PORT });
		const tookMs = performance.now() - startedMs;
		await this.#delete(id);
		return tookMs;
	}

	#image(memoryMiB: number): string {
		return join(this.#dir, `image-${memoryMiB}`);
	}

	#id(): string {
		return `bench${String(++this.#count).padStart(6, "0")}`;
	}

	#bundle(args: readonly string[], netns: string | undefined): string {
		const network = netns ? { type: "network", path: `/run/netns/${netns}` } : { type: "network" };
		const spec = {
			ociVersion: "1.0.2",
			process: { args, cwd: "/", user: { uid: 0, gid: 0 }, env: ["PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/root"] },
			root: { path: this.#root },
			mounts: [
				{ destination: "/proc", type: "proc", source: "proc" },
				{ destination: "/tmp", type: "tmpfs", source: "tmpfs" },
			],
			linux: { namespaces: [{ type: "pid" }, { type: "ipc" }, { type: "uts" }, { type: "mount" }, network] },
		};
		writeFileSync(join(this.#dir, "config.json"), JSON.stringify(spec));
		return this.#dir;
	}

	async #call(flags: readonly string[], verb: readonly string[]): Promise<void> {
		// An empty /proc/sys/net, seen by runsc alone: some versions refuse a network without it. Output must be a file.
		const script = 'mount -t tmpfs none /proc/sys/net && exec "$@" > /dev/null 2>&1';
		const runsc = [this.#runsc, `--root=${join(this.#dir, "run")}`, ...CLI, ...flags, ...verb];
		await run(["unshare", "--mount", "sh", "-c", script, "sh", ...runsc]);
	}

	async #delete(id: string): Promise<void> {
		await bestEffort("delete", this.#call([], ["delete", "--force", id]));
	}

	/** `runsc` takes the addresses of the interface away: each start needs a new one. */
	async #makeNetwork(): Promise<void> {
		await this.#removeNetwork();
		await run(["ip", "netns", "add", NETNS]);
		const batch = `link add dmbench type veth peer name eth0 netns ${NETNS}
addr add 10.212.0.1/30 dev dmbench
link set dmbench up
`;
		await run(["ip", "-batch", "-"], { input: batch });
		const inside = `link set lo up\naddr add ${ADDRESS}/30 dev eth0\nlink set eth0 up\nroute add default via 10.212.0.1\n`;
		await run(["ip", "-n", NETNS, "-batch", "-"], { input: inside });
	}

	async #removeNetwork(): Promise<void> {
		await bestEffort("remove the namespace", run(["ip", "netns", "del", NETNS]));
		await bestEffort("remove the link", run(["ip", "link", "del", "dmbench"]));
	}
}
