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

/**
 * The file offsets of functions' first instructions, found in one pass over the table, by name. Empty for what is no such
 * program.
 */
export function findGoFunctions(program: Buffer, names: readonly string[]): ReadonlyMap<string, number> {
	const found = new Map<string, number>();
	const sections = readSections(program);
	const text = sections.get(".text");
	const table = sections.get(".gopclntab");
	if (text === undefined || table === undefined) return found;
	const header = program.subarray(table.offset);
	if (header.readUInt32LE(0) !== PCLNTAB_MAGIC || header[7] !== WORD) return found;
	const field = (index: number) => Number(header.readBigUInt64LE(WORD + index * WORD));
	const [count, textStart, nameTable, functions] = [field(0), field(2), field(3), field(7)];
	const wanted = names.map((name) => ({ name, bytes: Buffer.from(`${name}\0`) }));
	for (let i = 0; i < count && found.size < names.length; i++) {
		const entry = header.readUInt32LE(functions + i * WORD);
		const info = functions + header.readUInt32LE(functions + i * WORD + 4);
		const at = nameTable + header.readUInt32LE(info + 4);
		for (const { name, bytes } of wanted) {
			if (header[at + bytes.length - 1] !== 0) continue;
			if (header.compare(bytes, 0, bytes.length, at, at + bytes.length) !== 0) continue;
			found.set(name, text.offset + textStart + entry - text.address);
		}
	}
	return found;
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
