import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { DormiceError } from "@dormice/protocol";

/** The supervisor's bundles, each named by a hash of its content: a memory image goes on with the one it was made with. */
export class Guests {
	readonly #dir: string;

	constructor(data: string) {
		this.#dir = join(data, "guest");
	}

	/** The bundle that new sandboxes get. */
	async current(): Promise<string> {
		let id = "";
		try {
			id = (await readFile(join(this.#dir, "current"), "utf8")).trim();
		} catch (error) {
			throw new DormiceError("not_set_up", "The supervisor's bundle is not built. Run: dormice setup", {
				cause: error,
			});
		}
		return id;
	}

	path(id: string): string {
		const dir = join(this.#dir, id);
		if (!/^[a-f0-9]{16}$/.test(id) || !existsSync(dir)) {
			throw new DormiceError(
				"generation_incompatible",
				`The supervisor's bundle ${id} is gone, which this state was made with. Boot it from its disk.`,
			);
		}
		return dir;
	}
}
