import type { Config } from "../config.ts";
import type { Database } from "../database/database.ts";
import type { Engine } from "../engine/engine.ts";
import type { Isolations } from "../isolation/isolations.ts";
import type { Queue } from "../lifetime/queue.ts";
import type { Logger } from "../log.ts";
import type { Vault } from "../secrets/vault.ts";
import type { Spares } from "../templates/spares.ts";
import type { Table } from "./table.ts";

/** What every verb on a sandbox works with. */
export interface Host {
	config: Config;
	log: Logger;
	database: Database;
	/** Seals what rows must not tell. */
	vault: Vault;
	engine: Engine;
	/** What the engine can run sandboxes with. */
	isolations: Isolations;
	/** The sandboxes of this host. */
	table: Table;
	/** Starting a sandbox is heavy: each takes its place here. */
	starts: Queue;
	/** Sandboxes made ahead, for creates. */
	spares: Pick<Spares, "take">;
	/** Ids of this process's unfinished work: what the engine has under them is no orphan, though no row names it yet. */
	unfinished: Set<string>;
	/** Asks the repair loop for a turn. */
	repairSoon: () => void;
	/** Asks the timeout loop for a turn when the first sandbox runs out. */
	expireAt: (endAt: Date) => void;
}
