// Copyright (c) 2026, The stateful.kube authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The autopilot: a container beside mongod that keeps the members of a replica set as the StatefulSet's own size says.
//
// The pod whose mongod is primary acts, and nobody else; before there is a set, pod 0. It never forces, and without a
// primary it does nothing. Each change is made under the Lease that runs of Ansible hold too.

'use strict';

const fs = require('fs');
const { Kube, Lease, monotonic } = require('./autopilot-kube.js');
const { Mongod, STAY_OUT, within } = require('./autopilot-mongod.js');
const peers = require('./autopilot-peers.js');
const { desiredOf, settingsOf } = require('./autopilot-desired.js');
const { isOut, next, MEMBER, UNINITIALISED } = require('./autopilot-plan.js');

// Files in a folder that mongod's container shares: the hook that runs before mongod stops writes ENDING and waits for
// ENDED; ALIVE tells it that somebody is there to answer.
const FOLDER = '/run/autopilot';
const [ALIVE, ENDING, ENDED] = ['alive', 'ending', 'ended'].map((name) => `${FOLDER}/${name}`);
// Seconds.
const PAUSE = 3;
const SHORT = 0.5;
const NO_API_SERVER = 20;
const STAND_BACK = 10;
// No look and no change takes longer. Whoever hangs is started anew by its liveness probe.
const TURN = 45;

class Autopilot {
  constructor({ connect, name, namespace, pod, port, peerPort, domain, service, replicaSet }) {
    Object.assign(this, { name, pod, peerPort });
    this.ordinal = Number(pod.slice(pod.lastIndexOf('-') + 1));
    this.target = { name, namespace, replica_set: replicaSet, service, cluster_domain: domain, port };
    this.kube = new Kube(name, namespace);
    this.lease = new Lease(this.kube, pod);
    this.mongod = new Mongod(connect, port, this.host(this.ordinal));
    this.ending = '';
    this.said = '';
  }

  address(ordinal) {
    const { service, namespace, cluster_domain: domain } = this.target;
    return `${this.name}-${ordinal}.${service}.${namespace}.svc.${domain}`;
  }

  host(ordinal) { return `${this.address(ordinal)}:${this.target.port}`; }

  say(sentence) {
    if (sentence && sentence !== this.said) console.log(`${new Date().toISOString()} ${sentence}`);
    this.said = sentence;
  }

  async run() {
    process.on('SIGTERM', () => process.exit(0));
    peers.serve(this.peerPort, () => this.tell(), {
      [peers.HURRY]: () => this.wake(),
      [peers.RISE]: () => this.mongod.stepUp(),
      [peers.STAND_BACK]: () => this.mongod.standBack(STAND_BACK),
    });
    this.progress = { turn: monotonic(), end: monotonic() };
    setInterval(() => this.showLife(), 1000);
    this.watchTheEnd();
    for (;;) {
      this.progress.turn = monotonic();
      let more = false;
      try {
        more = await this.turn();
      } catch (error) {
        this.say(`once more in a moment: ${error.message}`);
      }
      await this.pause(more || this.ending ? SHORT : PAUSE);
    }
  }

  showLife() {
    if (Object.values(this.progress).every((since) => monotonic() - since < TURN)) fs.writeFileSync(ALIVE, '');
  }

  pause(seconds) {
    return new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, seconds * 1000);
    });
  }

  wake() {}

  async tell() { return { answer: await this.mongod.look(), ending: Boolean(this.ending) }; }

  // One look, and the one step that comes of it. True where another may follow at once.
  async turn() {
    const mine = await this.mongod.look();
    const leads = mine.state === 'PRIMARY' || (this.ordinal === 0 && mine.kind === UNINITIALISED);
    if (!leads) {
      this.say(`${this.pod} ${mine.state || mine.detail || mine.kind}`);
      return false;
    }
    if (!this.acts(await this.plan())) return false;
    const holder = await this.lease.take();
    if (holder) {
      this.say(`waiting for the Lease of ${this.name}, which is held: ${holder}`);
      return false;
    }
    try {
      // Whoever held it before may have done everything.
      const found = await this.plan();
      if (!this.acts(found) || !this.lease.fresh()) return true;
      this.say(`${found.step.action} ${found.step.target}`);
      await this.take(found.step, found.stateful_set);
      return true;
    } finally {
      await this.lease.giveBack();
    }
  }

  acts(found) {
    if (!found || !found.step) {
      this.say(found ? 'as declared' : 'nothing to do here: no size is declared, or the autopilot is off');
      return false;
    }
    const { action, why } = found.step;
    if (action === 'refuse') this.say(`refused: ${why}. Nothing is changed; the playbooks status and mongodb tell more`);
    if (action === 'wait') this.say(why);
    return !['refuse', 'wait'].includes(action);
  }

  // The next step and what it was planned on; null where there is nothing that could be declared.
  async plan() {
    const stateful_set = await this.kube.statefulSet();
    // Zero pods is how a set is stopped, and no wish for a set without members.
    if (!stateful_set || !stateful_set.declared || !stateful_set.replicas) return null;
    const { member_options: entries, settings, lag_limit: lagLimit } = stateful_set.declared;
    const desired = desiredOf(stateful_set.replicas, entries || [], settingsOf(settings || {}), Number(lagLimit));
    const seen = { stateful_set, ...(await this.askAll(stateful_set.replicas)) };
    return { step: next(this.target, desired, seen), stateful_set };
  }

  // What every pod says: of those that are declared, and of those that are members still.
  async askAll(replicas, wish = peers.NOTHING) {
    const mine = await this.tell();
    const members = mine.answer.config ? mine.answer.config.members : [];
    const known = members.map((member) => Number((member.host.match(/-(\d+)\./) || [])[1])).filter(Number.isInteger);
    const ordinals = [...new Set([...Array(replicas).keys(), ...known, this.ordinal])];
    const [pods, answers] = [{}, {}];
    await Promise.all(ordinals.map(async (ordinal) => {
      const told = ordinal === this.ordinal ? mine : await peers.ask(this.address(ordinal), this.peerPort, wish);
      if (!told) return;
      pods[ordinal] = { deleting: Boolean(told.ending) };
      answers[ordinal] = told.answer;
    }));
    return { pods, answers };
  }

  async take(step, stateful_set) {
    if (step.action === 'create_user') await this.mongod.createUser();
    else if (step.action === 'record') await this.kube.record(stateful_set, step.set_id);
    else if (step.action === 'step_down') await this.handOver(step, stateful_set.replicas);
    else await this.mongod.reconfigure(step);
  }

  // To a certain member: the others do not stand for a while, and that one does at once. All of it ends by itself.
  async handOver(step, replicas) {
    const others = [...Array(replicas).keys()].filter((ordinal) => ![this.ordinal, step.to].includes(ordinal));
    await Promise.all(others.map((ordinal) => peers.ask(this.address(ordinal), this.peerPort, peers.STAND_BACK)));
    await this.mongod.stepDown();
    await peers.ask(this.address(step.to), this.peerPort, peers.RISE);
  }

  // The end of this pod's mongod

  async watchTheEnd() {
    for (;;) {
      this.progress.end = monotonic();
      try {
        if (!this.ending && fs.existsSync(ENDING)) {
          this.ending = (await within(SHORT * 10, this.mongod.processId()).catch(() => '')) || 'gone';
          this.wake();
          this.say(await this.leave());
          fs.writeFileSync(ENDED, '');
        } else if (this.ending && (await within(SHORT * 10, this.mongod.processId()).catch(() => this.ending)) !== this.ending) {
          // The container alone was started anew.
          this.ending = '';
          fs.rmSync(ENDING, { force: true });
        }
      } catch (error) {
        this.say(`once more in a moment: ${error.message}`);
      }
      await new Promise((resolve) => { setTimeout(resolve, SHORT * 1000); });
    }
  }

  // Waits until this member may stop: at once where it is to come back, else when a majority has seen it out.
  async leave() {
    const began = monotonic();
    let replicas = null;
    while (fs.existsSync(ENDING)) {
      this.progress.end = monotonic();
      try {
        const stateful_set = await this.kube.statefulSet();
        const stays = !stateful_set || !stateful_set.declared || !stateful_set.replicas || this.ordinal < stateful_set.replicas;
        if (stays) return `${this.pod} stops, and stays a member`;
        replicas = stateful_set.replicas;
      } catch (error) {
        if (replicas === null && (error.final || monotonic() - began > NO_API_SERVER)) return `${this.pod} stops: ${error.message}`;
      }
      if (replicas !== null && (await within(TURN / 3, this.isOut(replicas)).catch(() => false))) {
        return `${this.pod} stops: it is out of the configuration`;
      }
      await new Promise((resolve) => { setTimeout(resolve, SHORT * 1000); });
    }
    return `${this.pod} stops`;
  }

  async isOut(replicas) {
    const { answers } = await this.askAll(replicas, peers.HURRY);
    const mine = answers[this.ordinal];
    if (mine.kind === UNINITIALISED) return true;
    if (mine.kind === MEMBER && mine.state === 'SECONDARY') await this.mongod.standBack(STAY_OUT).catch(() => {});
    return isOut(this.mongod.host, Object.values(answers));
  }
}

module.exports = { Autopilot };
