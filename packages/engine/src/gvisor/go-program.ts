/**
 * Finds functions of a Go program by name, also where its symbols were stripped: the runtime's own table of them stays.
 * Formats: ELF64, and `pclntab` of Go 1.20 and later (src/runtime/symtab.go, src/internal/abi/symtab.go). Pure.
 */

const PCLNTAB_MAGIC = 0xfffffff1;
const WORD = 8;

interface Section {
	/** Where it is loaded. */
	address: number;
	/** Where it is in the file. */
	offset: number;
}

/** The file offset of a function's first instruction; undefined when there is no such function, or this is no such program. */
export function findGoFunction(program: Buffer, name: string): number | undefined {
	const sections = readSections(program);
	const text = sections.get(".text");
	const table = sections.get(".gopclntab");
	if (text === undefined || table === undefined) return undefined;
	const header = program.subarray(table.offset);
	if (header.readUInt32LE(0) !== PCLNTAB_MAGIC || header[7] !== WORD) return undefined;
	const field = (index: number) => Number(header.readBigUInt64LE(WORD + index * WORD));
	const [count, textStart, names, functions] = [field(0), field(2), field(3), field(7)];
	const wanted = Buffer.from(`${name}\0`);
	for (let i = 0; i < count; i++) {
		const entry = header.readUInt32LE(functions + i * WORD);
		const info = functions + header.readUInt32LE(functions + i * WORD + 4);
		const at = names + header.readUInt32LE(info + 4);
		if (header.compare(wanted, 0, wanted.length, at, at + wanted.length) === 0) {
			return text.offset + textStart + entry - text.address;
		}
	}
	return undefined;
}

function readSections(program: Buffer): Map<string, Section> {
	const sections = new Map<string, Section>();
	if (program.length < 64 || program.readUInt32BE(0) !== 0x7f454c46) return sections;
	const table = Number(program.readBigUInt64LE(40));
	const size = program.readUInt16LE(58);
	const header = (index: number) => program.subarray(table + index * size, table + (index + 1) * size);
	const names = Number(header(program.readUInt16LE(62)).readBigUInt64LE(24));
	for (let i = 0; i < program.readUInt16LE(60); i++) {
		const one = header(i);
		const at = names + one.readUInt32LE(0);
		const name = program.toString("latin1", at, program.indexOf(0, at));
		sections.set(name, { address: Number(one.readBigUInt64LE(16)), offset: Number(one.readBigUInt64LE(24)) });
	}
	return sections;
}
