import type { Isolation, SandboxState } from "@dormice/protocol";
import type { ColumnType, Generated, Insertable, JSONColumnType, Selectable, Updateable } from "kysely";
import type { Role } from "../identity/role.ts";
import type { IsolationWish } from "../isolation/choice.ts";
import type { Network } from "../sandboxes/network.ts";
import type { DozeMode } from "../sandboxes/rest.ts";
import type { Retention } from "../sandboxes/retention.ts";
import type { Sealed } from "../secrets/vault.ts";

/** Columns that may be empty are `null` here, as SQL has it: rows are the one place where Dormice says null. */
export interface Schema {
	teams: TeamsTable;
	apiKeys: ApiKeysTable;
	templates: TemplatesTable;
	templateGenerations: TemplateGenerationsTable;
	generations: GenerationsTable;
	snapshots: SnapshotsTable;
	sandboxes: SandboxesTable;
	events: EventsTable;
	transitions: TransitionsTable;
	metrics: MetricsTable;
	pools: PoolsTable;
	secretKeys: SecretKeysTable;
}

/** The hosts' pools whose disks and generations this database knows. */
interface PoolsTable {
	id: string;
	createdAt: Generated<Date>;
}

/** The keys that something in this database is sealed with, by their ids. */
interface SecretKeysTable {
	id: string;
	createdAt: Generated<Date>;
}

interface TeamsTable {
	id: Generated<string>;
	name: string;
	/** What its sandboxes are kept apart by at least; null: anything. */
	minimumIsolation: Isolation | null;
	createdAt: Generated<Date>;
}

interface ApiKeysTable {
	id: Generated<string>;
	teamId: string;
	name: string;
	/** SHA-256 of the key: keys are random, so a plain hash is as good as a slow one and costs nothing per request. */
	hash: Buffer;
	role: Generated<Role>;
	createdAt: Generated<Date>;
}

interface TemplatesTable {
	id: string;
	/** The name clients use: `base`. */
	alias: string;
	rootfsId: string;
	cpuCount: number;
	memoryMib: number;
	diskMib: number;
	pids: number;
	/** What of their histories its sandboxes keep, where they do not say so themselves. */
	retention: ColumnType<Partial<Retention>, string | undefined, string>;
	/** What its sandboxes are kept apart by, where they do not say so themselves; null leaves it to the platform. */
	isolation: IsolationWish | null;
	/** How its sandboxes rest, where they do not say so themselves; null leaves it to the platform. */
	doze: DozeMode | null;
	dozeAfterMs: number | null;
	sleepAfterMs: number | null;
	spawnCount: Generated<number>;
	lastSpawnedAt: Date | null;
	createdAt: Generated<Date>;
	updatedAt: Generated<Date>;
}

/** What sandboxes of a template start from: a state for each isolation, made when that was first asked for. */
interface TemplateGenerationsTable {
	templateId: string;
	isolation: Isolation;
	generationId: string;
}

interface GenerationsTable {
	id: string;
	/** In whose history it is: of one of these two, or of neither once that is gone and something still starts from it. */
	sandboxId: string | null;
	templateId: string | null;
	/** What the stored state grew from. It may be gone. */
	parentId: string | null;
	rootfsId: string;
	memory: boolean;
	isolation: Isolation;
	engineVersion: string;
	guestId: string;
	memoryBytes: number;
	/** Allocated in the pool, what it shares with others included. */
	diskBytes: number;
	reason: string;
	/** What its maker called it. */
	label: string | null;
	/** The token that the supervisor in its memory asks for; null: none. */
	accessToken: Sealed | null;
	/** Found to be not what was written. */
	corrupt: Generated<boolean>;
	createdAt: ColumnType<Date, Date | string, never>;
}

/** A state of a sandbox that new ones can be made from, for as long as it is not deleted. */
interface SnapshotsTable {
	id: string;
	tag: string;
	teamId: string;
	name: string | null;
	/** The sandbox it was taken of, which may be gone. */
	sandboxId: string;
	/** The template that sandbox stems from. */
	templateId: string;
	generationId: string;
	cpuCount: number;
	memoryMib: number;
	diskMib: number;
	pids: number;
	envVars: Sealed;
	createdAt: Generated<Date>;
}

interface SandboxesTable {
	id: string;
	teamId: string;
	templateId: string;
	state: SandboxState;
	/** Grows by one with every move: a writer that lost the row finds out by it. */
	epoch: number;
	/** When a transitional state is overdue. */
	transitionDeadline: Date | null;
	/** Waking from its own disk after a crash: a second failure must keep that disk. */
	recovering: boolean;
	/** The stored state that it sleeps in, or that what runs grew from; null when that is its template's. */
	generationId: string | null;
	/** Whether the generation has a memory image; null with it. */
	generationMemory: boolean | null;
	/** What of its history it keeps; what it leaves out is its template's or the platform's affair. */
	retention: ColumnType<Partial<Retention>, string | undefined, string>;
	isolation: Isolation;
	startedAt: Date;
	endAt: Date;
	timeoutSeconds: number;
	autoPause: boolean;
	autoPauseMemory: boolean;
	autoResume: boolean;
	accessToken: Sealed | null;
	trafficToken: Sealed | null;
	allowInternetAccess: boolean | null;
	network: Sealed;
	metadata: JSONColumnType<Record<string, string>>;
	envVars: Sealed;
	cpuCount: number;
	memoryMib: number;
	diskMib: number;
	pids: number;
	doze: DozeMode;
	/** 0: never. */
	dozeAfterMs: number;
	/** 0: never. */
	sleepAfterMs: number;
	/** Asleep, or falling asleep, by the platform's own rules and at nobody's wish: to clients it runs. */
	unasked: boolean;
	/** Asleep with a post-wake hook, which its waking waits for. */
	wakeHook: Generated<boolean>;
	/** Since when it is in its state. */
	stateSince: Date;
	/** How long it has been in each state before this one, in milliseconds. */
	stateMs: JSONColumnType<StateTimes>;
	createdAt: Generated<Date>;
}

export type StateTimes = { [state in SandboxState]?: number };

/** A change of state that took place. */
interface TransitionsTable {
	id: Generated<number>;
	sandboxId: string;
	at: Date;
	fromState: SandboxState;
	toState: SandboxState;
	/** Who or what caused it: `api`, `timeout`, `request`, `idle`, `memory`, `crash`. */
	reason: string;
	/** How long it had been in `fromState`. */
	lastedMs: number;
}

interface EventsTable {
	id: Generated<number>;
	sandboxId: string;
	at: ColumnType<Date, Date, never>;
	kind: string;
	/** Who or what caused it: `api`, `timeout`, `request`, `idle`, `memory`, `crash`. */
	reason: string;
	durationMs: number | null;
	detail: JSONColumnType<Record<string, string>>;
}

interface MetricsTable {
	sandboxId: string;
	at: Date;
	cpuCount: number;
	cpuUsedPct: number;
	memUsedBytes: number;
	memTotalBytes: number;
	memCacheBytes: number;
	diskUsedBytes: number;
	diskTotalBytes: number;
}

export type SandboxRow = Selectable<SandboxesTable>;
/** What of a sandbox's row is sealed. */
export interface SandboxSecrets {
	accessToken: string | null;
	trafficToken: string | null;
	/** Its rules may add headers with somebody's credentials. */
	network: Network;
	envVars: Record<string, string>;
}
/** A row as memory has it: opened once, with what it was opened from. */
export type Sandbox = Omit<SandboxRow, keyof SandboxSecrets> &
	SandboxSecrets & { readonly sealed: Pick<SandboxRow, keyof SandboxSecrets> };
export type NewSandbox = Insertable<SandboxesTable>;
export type SandboxChange = Updateable<SandboxesTable>;
export type Template = Selectable<TemplatesTable>;
export type GenerationRow = Selectable<GenerationsTable>;
export type Snapshot = Selectable<SnapshotsTable>;
export type Metric = Selectable<MetricsTable>;
export type EventRow = Selectable<EventsTable>;
export type TransitionRow = Selectable<TransitionsTable>;
