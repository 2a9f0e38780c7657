import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Container } from 'dockerode';
import { type ContainerSpec, createContainer, removeContainer } from './container.ts';
import { type Engine, engineError, statusOf } from './engine.ts';

/** Containers around one volume, their only writable place, at /cell. All of it goes with {@link Workspace.remove}. */
export class Workspace {
  readonly volume: string;
  private readonly engine: Engine;
  private readonly containers: Container[] = [];

  private constructor(engine: Engine, volume: string) {
    this.engine = engine;
    this.volume = volume;
  }

  /** A new volume with these labels. */
  static async create(engine: Engine, labels: Record<string, string>): Promise<Workspace> {
    const volume = `pvgrub-forge-${randomBytes(8).toString('hex')}`;
    try {
      await engine.docker.createVolume({ Name: volume, Labels: labels });
    } catch (error) {
      throw engineError(error, 'creating a volume');
    }
    return new Workspace(engine, volume);
  }

  /** A container that has the volume and does not run yet. */
  async container(spec: Omit<ContainerSpec, 'volume'>): Promise<Container> {
    const container = await createContainer(this.engine, { ...spec, volume: this.volume });
    this.containers.push(container);
    return container;
  }

  /** Remove the containers, and leave the volume to who has it by now. */
  async removeContainers(warn: (text: string) => void): Promise<void> {
    for (const container of this.containers)
      await removeContainer(container).catch((error: Error) => warn(`a container could not be removed: ${error.message}`));
  }

  /** Remove the containers and the volume; what cannot be removed now is told, and swept by a later run. */
  async remove(warn: (text: string) => void): Promise<void> {
    await this.removeContainers(warn);
    // The engine may still be taking a container off it: that is a 409.
    for (let attempt = 1; ; attempt++) {
      try {
        await this.engine.docker.getVolume(this.volume).remove({ force: true });
        return;
      } catch (error) {
        if (statusOf(error) === 409 && attempt < 10) await sleep(300);
        else {
          if (statusOf(error) !== 404) warn(`a volume could not be removed: ${(error as Error).message}`);
          return;
        }
      }
    }
  }
}
