export { Dormice } from "./client.ts";
export type { ClientOptions, Endpoint } from "./endpoint.ts";
export type { ExecOptions, ExecResult, Execution, OutputChunk, TerminalSize } from "./execution.ts";
export type { Files } from "./files.ts";
export type { KeyInfo, KeyRole, Keys } from "./keys.ts";
export type { OutputOptions, OutputPiece, ProcessInfo, ProcessOutput } from "./output.ts";
export type { Sandbox } from "./sandbox.ts";
export type {
	CreateOptions,
	Difference,
	FileChange,
	ForkOptions,
	Generation,
	GuestProcess,
	Lifecycle,
	ListOptions,
	LogEntry,
	Metric,
	RestOptions,
	Sandboxes,
	SandboxInfo,
	Signal,
} from "./sandboxes.ts";
export type { Share, Storage, StorageUsage, Superfluous } from "./storage.ts";
export type { Team, Teams } from "./teams.ts";
export type {
	PrepareOptions,
	RetentionOptions,
	TemplateChange,
	TemplateInfo,
	TemplateSettings,
	Templates,
} from "./templates.ts";
