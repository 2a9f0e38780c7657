/** One line of `pvgrub doctor`. */
export interface Finding {
  /** What was looked at. */
  name: string;
  level: 'ok' | 'warning' | 'error';
  /** What was found. */
  said: string;
  /** What to do, where something is wrong. */
  hint?: string;
}

export const ok = (name: string, said: string): Finding => ({ name, level: 'ok', said });
export const warning = (name: string, said: string, hint: string): Finding => ({ name, level: 'warning', said, hint });
export const failure = (name: string, said: string, hint: string): Finding => ({ name, level: 'error', said, hint });
