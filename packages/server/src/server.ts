import { setTimeout as sleep } from "node:timers/promises";
import { DormiceError } from "@dormice/protocol";
import { openApi } from "./api/app.ts";
import type { Config, Secrets } from "./config.ts";
import { fromDatabaseError, openDatabase, pingDatabase } from "./database/database.ts";
import { migrate } from "./database/migrate.ts";
import { forgetOld } from "./database/retention.ts";
import { connectEngine } from "./engine/client.ts";
import { Gateway } from "./gateway/gateway.ts";
import { ensureKey, Identity } from "./identity/identity.ts";
import { Idleness } from "./idleness/idleness.ts";
import { Isolations } from "./isolation/isolations.ts";
import { Alarm } from "./lifetime/alarm.ts";
import { Loop } from "./lifetime/loop.ts";
import { Queue } from "./lifetime/queue.ts";
import { Listener } from "./listener.ts";
import type { Logger } from "./log.ts";
import { Sampler } from "./metrics/sample.ts";
import { collect } from "./sandboxes/generations.ts";
import type { Host } from "./sandboxes/host.ts";
import { checkPool } from "./sandboxes/pool.ts";
import { reconcile } from "./sandboxes/reconcile.ts";
import { Table } from "./sandboxes/table.ts";
import { expire } from "./sandboxes/timeout.ts";
import { openVault, requireKey } from "./secrets/key.ts";
import { Preparation } from "./templates/preparation.ts";
import { Spares } from "./templates/spares.ts";
import { Templates } from "./templates/templates.ts";

/** How long closing waits for changes of sandboxes that are under way. */
const FINISH_MS = 5_000;
/** How long the templates are believed to be what the engine needs. */
const TEMPLATES_KNOWN_MS = 60_000;
const PERIOD_MS = {
	idleness: 500,
	timeouts: 1_000,
	templates: 2_000,
	repair: 5_000,
	metrics: 10_000,
	retention: 3_600_000,
	generations: 300_000,
} as const;

export interface ServerOptions {
	config: Config;
	secrets: Secrets;
	log: Logger;
}

/**
 * The server, from its listener to its loops. It opens whether or not the database and the engine are there, says on
 * `/health` what is missing, and is complete as soon as they are. Closing it leaves the sandboxes as they are.
 */
export class Server implements AsyncDisposable {
	readonly port: number;
	readonly #listener: Listener;
	readonly #owned: AsyncDisposableStack;

	private constructor(listener: Listener, owned: AsyncDisposableStack) {
		this.port = listener.port;
		this.#listener = listener;
		this.#owned = owned;
	}

	static async open({ config, secrets, log }: ServerOptions): Promise<Server> {
		await using owned = new AsyncDisposableStack();
		const vault = await openVault(config, secrets);
		const database = openDatabase(secrets.databaseUrl, log);
		owned.defer(() => database.destroy());

		const table = new Table();
		owned.defer(() => {
			for (const resident of table.values()) resident.detach();
		});
		const alarm = owned.use(new Alarm(() => timeouts.poke()));
		const host: Host = {
			config,
			log,
			database,
			vault,
			engine: connectEngine(config.engineSocket),
			table,
			starts: new Queue(config.concurrentStarts, config.startWaitMs),
			isolations: new Isolations(config),
			spares: { take: (wanted) => spares.take(wanted) },
			unfinished: new Set(),
			repairSoon: () => repair.poke(),
			expireAt: (endAt) => alarm.setFor(endAt),
		};
		const templates = new Templates();
		const spares = owned.use(new Spares(host, config.spares, templates));
		const preparation = new Preparation(host, templates);
		const sampler = new Sampler(host);
		const idleness = new Idleness(host);
		const begin = beginning(host, secrets);
		let trouble: unknown;
		owned.defer(() => finishWork(table, preparation));

		let collected = false;
		const timeouts = owned.use(new Loop("timeouts", PERIOD_MS.timeouts, log, () => expire(host)));
		const repair = owned.use(
			new Loop("repair", PERIOD_MS.repair, log, async () => {
				trouble = undefined;
				await begin().catch((error: unknown) => {
					trouble = error;
					throw error;
				});
				await reconcile(host);
				if (!collected) collecting.poke();
				collected = true;
				if (!isReady(templates)) preparing.poke();
			}),
		);
		const prepareAhead = preparingAhead(host, templates, { preparation, spares });
		const preparing = owned.use(new Loop("templates", PERIOD_MS.templates, log, prepareAhead));
		const idle = owned.use(new Loop("idleness", PERIOD_MS.idleness, log, () => idleness.turn()));
		const samples = owned.use(new Loop("metrics", PERIOD_MS.metrics, log, () => sampler.sampleAll()));
		const collecting = owned.use(
			new Loop("stored states", PERIOD_MS.generations, log, async () => void (await collect(host))),
		);
		const retention = owned.use(new Loop("retention", PERIOD_MS.retention, log, () => forgetOld(database)));

		// Known once the listener is open; nobody asks before.
		let port = config.port;
		const domain = () => config.domain ?? `localhost:${port}`;
		const identity = new Identity(database);
		const ready = () => checkReady(host, templates, trouble);
		const api = await openApi({ host, identity, templates, preparation, sampler, idleness, domain, ready });
		const listener = await Listener.open({
			host: config.host,
			port: config.port,
			domain,
			gateway: new Gateway(host),
			api: (req, res) => api.routing(req, res),
		});
		owned.use(listener);
		port = listener.port;
		for (const loop of [repair, timeouts, idle, samples]) loop.poke();
		setTimeout(() => retention.poke(), 60_000).unref();
		log.info({ host: config.host, port }, "listening");
		return new Server(listener, owned.move());
	}

	/** The requests that are not answered yet, oldest first, in a line each. */
	underWay(): string[] {
		return this.#listener.underWay();
	}

	async [Symbol.asyncDispose](): Promise<void> {
		await this.#owned.disposeAsync();
	}
}

/** The schema and what it holds: done once, as soon as the database answers; until then, each turn tries again. */
function beginning(host: Host, secrets: Secrets): () => Promise<void> {
	return async () => {
		if (host.table.loaded) return;
		await openSchema(host, secrets);
		await checkPool(host);
		await host.table.load(host);
	};
}

/** Looks for new root file systems, engines and supervisors: often until there is a template, then now and then. */
function preparingAhead(
	host: Host,
	templates: Templates,
	{ preparation, spares }: { preparation: Preparation; spares: Spares },
): () => Promise<void> {
	let nextMs = 0;
	return async () => {
		if (!host.table.loaded || Date.now() < nextMs) return;
		await preparation.turn();
		if (isReady(templates)) nextMs = Date.now() + TEMPLATES_KNOWN_MS;
		spares.refill();
	};
}

/** Lets pauses and starts that are under way come to their end; what does not, the next server repairs. */
async function finishWork(table: Table, preparation: Preparation): Promise<void> {
	const work = [...table.values()].map((resident) => resident.work?.done);
	await Promise.race([Promise.all([...work, preparation.idle()]), sleep(FINISH_MS, undefined, { ref: false })]);
}

async function openSchema({ database, vault }: Host, { apiKey }: Secrets): Promise<void> {
	await migrate(database, vault);
	await requireKey(database, vault);
	if (apiKey !== undefined) await ensureKey(database, apiKey);
}

function isReady(templates: Templates): boolean {
	return templates.list().some(({ id }) => templates.prepared(id).length > 0);
}

async function checkReady(host: Host, templates: Templates, trouble: unknown): Promise<void> {
	await pingDatabase(host.database);
	await host.engine.list();
	if (trouble !== undefined) throw fromDatabaseError(trouble, "reading what this platform has");
	if (!isReady(templates)) {
		throw new DormiceError(
			"not_set_up",
			"The base template is not ready yet: it is being prepared, or set-up did not run.",
		);
	}
}
