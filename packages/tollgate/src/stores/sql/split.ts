// Strings, quoted names, dollar-quoted bodies and comments are stepped over; a `;` in them ends nothing.
const TOKEN = /'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|\/\*[\s\S]*?\*\/|\$([A-Za-z_]*)\$[\s\S]*?\$\1\$|;/g

/** The statements of a file. A trigger's body holds `;`, so a trigger ends at `END;`. */
export function statementsOf(sql: string): string[] {
  const statements: string[] = []
  let start = 0
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (token !== ';') continue
    const statement = sql.slice(start, index)
    if (/^\s*CREATE\s+TRIGGER\b/i.test(bare(statement)) && !/\bEND\s*$/i.test(statement)) continue
    statements.push(statement)
    start = index + 1
  }
  return [...statements, sql.slice(start)].map((statement) => statement.trim()).filter((statement) => bare(statement).trim() !== '')
}

function bare(sql: string): string {
  return sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\//g, ' ')
}
