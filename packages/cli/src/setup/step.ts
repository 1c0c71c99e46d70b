/** A part of set-up. Small, and safe to do again: what was killed halfway is completed by the next run. */
export interface SetupStep {
	title: string;
	/** A cheap look; every `up` takes it. */
	isDone(): boolean | Promise<boolean>;
	run(line: (text: string) => void): Promise<void>;
}
