/** One thing that was looked at. */
export interface Check {
	name: string;
	ok: boolean;
	/** What was seen: a version, a path, an error. */
	detail: string;
	/** The command that mends it, if one does. */
	remedy?: string;
	/** Without it no sandbox runs. */
	required: boolean;
}

export interface Driver {
	isolation: string;
	usable: boolean;
	reason: string;
	version: string;
	/** Of a virtual machine: `kvm`, or `emulated` in software. */
	acceleration?: string;
	needs: Check[];
}

export interface Diagnosis {
	/** Whether sandboxes can run. */
	ok: boolean;
	/** What they get unasked; absent when there is nothing to get unasked. */
	isolation?: string;
	why: string;
	checks: Check[];
	/** What the engine found, a real sandbox run included; empty when the engine could not be asked. */
	drivers: Driver[];
}
