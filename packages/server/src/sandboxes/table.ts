import { DormiceError, publicState } from "@dormice/protocol";
import type { Host } from "./host.ts";
import { Resident } from "./resident.ts";
import { openRow } from "./row.ts";

/** Every sandbox of this host, so that a request asks memory and not the database, also for ids that do not exist. */
export class Table {
	readonly #residents = new Map<string, Resident>();
	#loaded = false;

	/** False until the rows were read once; before that, nothing can be said of any id. */
	get loaded(): boolean {
		return this.#loaded;
	}

	/** Reads every row. What is in memory already is newer and stays. */
	async load({ database, vault }: Host): Promise<void> {
		for (const row of await database.selectFrom("sandboxes").selectAll().execute()) {
			if (!this.#residents.has(row.id)) this.#residents.set(row.id, new Resident(openRow(vault, row)));
		}
		this.#loaded = true;
	}

	/** Throws `database_unavailable` while the platform is still starting. */
	get(id: string): Resident | undefined {
		const resident = this.#residents.get(id);
		if (resident === undefined && !this.#loaded) {
			throw new DormiceError("database_unavailable", "The platform is starting: try again in a moment.");
		}
		return resident;
	}

	/** The sandbox a client means: its team's own, and neither unborn nor dying. Throws `sandbox_not_found`. */
	owned(id: string, teamId: string): Resident {
		// Older clients send `<id>-<client id>`.
		const resident = this.get(id.split("-", 1)[0] ?? id);
		if (resident === undefined || resident.record.teamId !== teamId) throw notFound(id);
		if (publicState(resident.record) === undefined) throw notFound(id);
		return resident;
	}

	add(resident: Resident): void {
		this.#residents.set(resident.id, resident);
	}

	remove(id: string): void {
		this.#residents.get(id)?.detach();
		this.#residents.delete(id);
	}

	values(): IterableIterator<Resident> {
		return this.#residents.values();
	}
}

export function notFound(id: string): DormiceError {
	return new DormiceError("sandbox_not_found", `Sandbox "${id}" doesn't exist or you don't have access to it`);
}
