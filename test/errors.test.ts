import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  BuildError,
  EngineError,
  EXIT,
  errorData,
  errorText,
  exitCode,
  InterruptedError,
  isDiskFull,
  OutputError,
  runExitCode,
  SourceError,
  UsageError,
} from '../src/errors.ts';

const samples = {
  usage: new UsageError('OPTION_INVALID', 'a'),
  source: new SourceError('SOURCE_MISMATCH', 'b'),
  engine: new EngineError('ENGINE_LOST', 'c'),
  build: new BuildError('BUILD_FAILED', 'd'),
  output: new OutputError('INSPECT_FAILED', 'e'),
  interrupted: new InterruptedError(),
};

describe('exit codes', () => {
  test('each class of error has the exit code that the manual promises', () => {
    const codes = Object.fromEntries(Object.entries(samples).map(([name, error]) => [name, exitCode(error)]));
    expect(codes).toEqual({ usage: 2, source: 3, engine: 4, build: 1, output: 5, interrupted: 130 });
  });

  test('anything unknown that is thrown counts as one failed cell', () => {
    for (const thrown of [new Error('x'), 'text', undefined, null, 7]) expect(exitCode(thrown)).toBe(1);
  });

  test('a run without failures ends with 0', () => {
    expect(runExitCode([])).toBe(0);
  });

  test('failures that are all of one class give that class its exit code', () => {
    expect(runExitCode([samples.source, new SourceError('SOURCE_OFFLINE', 'x')])).toBe(3);
    expect(runExitCode([samples.output])).toBe(5);
  });

  test('failures of several classes give 1', () => {
    expect(runExitCode([samples.source, samples.output])).toBe(1);
    expect(runExitCode([samples.engine, new Error('unknown')])).toBe(1);
  });

  test('an interruption wins over every other failure, wherever it stands', () => {
    const others = fc.array(fc.constantFrom(...Object.values(samples)));
    fc.assert(
      fc.property(others, others, (before, after) => {
        expect(runExitCode([...before, samples.interrupted, ...after])).toBe(EXIT.interrupted);
      }),
    );
  });
});

describe('errorText', () => {
  test('says what happened with its code, what was expected, what was there, and what to try', () => {
    const error = new SourceError('SOURCE_MISMATCH', 'xen is not the right one', { expected: 'aa', got: 'bb', hint: 'first\nsecond' });
    expect(errorText(error)).toBe(
      ['xen is not the right one [SOURCE_MISMATCH]', '  expected: aa', '  got:      bb', '  try:      first', '            second'].join(
        '\n',
      ),
    );
  });

  test('leaves out what an error does not have', () => {
    expect(errorText(new UsageError('OPTION_INVALID', 'wrong'))).toBe('wrong [OPTION_INVALID]');
  });

  test('shows an error of another kind as internal', () => {
    expect(errorText(new TypeError('x is not a function'))).toBe('x is not a function [INTERNAL]');
    expect(errorText('plain text')).toBe('plain text [INTERNAL]');
  });
});

describe('errorData', () => {
  test('is plain data: JSON and back gives the same', () => {
    const data = errorData(new BuildError('BUILD_FAILED', 'm', { expected: 'e', cause: new Error('inner') }));
    expect(data).toEqual({ code: 'BUILD_FAILED', message: 'm', expected: 'e' });
    expect(JSON.parse(JSON.stringify(data))).toEqual(data);
  });

  test('the cause stays on the error for a stack trace', () => {
    const cause = new Error('inner');
    expect(new BuildError('BUILD_FAILED', 'm', { cause }).cause).toBe(cause);
  });

  test('an error is called by the name of its class', () => {
    expect(String(samples.engine)).toBe('EngineError: c');
  });
});

test('a full disk and a used-up quota are known as such, other errors are not', () => {
  const withCode = (code: string) => Object.assign(new Error(code), { code });
  expect(isDiskFull(withCode('ENOSPC'))).toBe(true);
  expect(isDiskFull(withCode('EDQUOT'))).toBe(true);
  expect(isDiskFull(withCode('EACCES'))).toBe(false);
  expect(isDiskFull(undefined)).toBe(false);
});
