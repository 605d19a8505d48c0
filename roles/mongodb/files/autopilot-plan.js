// Copyright (c) 2026, The stateful.kube authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// What the autopilot does next, from one snapshot alone. Pure.
//
// The rules are those of the planner in plugins/module_utils/_mongodb (_plan, _members, _view, _refuse), and so are the
// names; a test feeds both with the same snapshots. Left out is what is no business of a pod: other pods are never
// replaced, the number of replicas is never changed, claims are never deleted.

'use strict';

const UNREACHABLE = 'unreachable';
const UNINITIALISED = 'not initialised';
const NO_USER = 'no user yet';
const REFUSED = 'login refused';
const REMOVED = 'not a member of its configuration';
const STANDALONE = 'runs without --replSet';
const MEMBER = 'member';
const HAS_CONFIG = [MEMBER, NO_USER, REMOVED];
const SERVING = ['PRIMARY', 'SECONDARY', 'ARBITER'];
const { MOST_VOTERS, USUAL, range } = require('./autopilot-desired.js');
// Seconds that an answer to a heartbeat may be late.
const PATIENCE = 1.5;
const FIELDS = ['priority', 'votes', 'hidden', 'tags', 'secondary_delay_secs', 'build_indexes'];

// The next step, {action: 'wait' | 'refuse', why}, or null where the set is as declared.
function next(target, desired, seen) {
  const look = new Look(target, desired, seen);
  const why = look.refuses();
  if (why) return { action: 'refuse', why };
  return look.recorded || look.ofKind(...HAS_CONFIG).length ? look.formed() : look.unformed();
}

class Look {
  constructor(target, desired, seen) {
    Object.assign(this, { target, desired, seen });
    this.recorded = seen.stateful_set.recorded;
    this.ordinals = range(desired.members);
    this.primary = this.findPrimary();
    this.statuses = this.primary === null ? [] : this.answer(this.primary).statuses;
    this.config = this.findConfig();
    this.current = new Map();
    for (const member of this.config ? this.config.members : []) {
      const ordinal = this.ordinal(member.host);
      if (ordinal !== null) this.current.set(ordinal, member);
    }
  }

  // Who is who

  pod(ordinal) { return `${this.target.name}-${ordinal}`; }

  host(ordinal) {
    const { service, namespace, cluster_domain: domain, port } = this.target;
    return `${this.pod(ordinal)}.${service}.${namespace}.svc.${domain}:${port}`;
  }

  ordinal(host) {
    const start = `${this.target.name}-`;
    const number = host.startsWith(start) ? host.slice(start.length).split('.')[0] : '';
    return /^(0|[1-9]\d*)$/.test(number) && this.host(Number(number)) === host ? Number(number) : null;
  }

  answer(ordinal) { return this.seen.answers[ordinal] || { kind: UNREACHABLE, detail: 'no such pod yet', statuses: [] }; }

  asked() { return Object.keys(this.seen.answers).map(Number).sort((a, b) => a - b); }

  ofKind(...kinds) { return this.asked().filter((ordinal) => kinds.includes(this.answer(ordinal).kind)); }

  wanted(ordinal) { return this.desired.options[ordinal] || USUAL; }

  findPrimary() {
    for (const kind of [MEMBER, NO_USER]) {
      // One that was elected takes no writes until it has caught up.
      const found = this.ofKind(kind)
        .filter((ordinal) => this.answer(ordinal).state === 'PRIMARY' && this.answer(ordinal).writable);
      if (found.length) return found.reduce((a, b) => (this.answer(b).term > this.answer(a).term ? b : a));
    }
    return null;
  }

  // The primary's configuration, or else the newest that any member told.
  findConfig() {
    if (this.primary !== null && this.answer(this.primary).config) return this.answer(this.primary).config;
    let newest = null;
    for (const ordinal of this.asked()) {
      const config = this.answer(ordinal).config;
      if (config && (!newest || newer(config, newest))) newest = config;
    }
    return newest;
  }

  // Who serves, who is behind, who may take over

  status(ordinal) { return this.statuses.find((status) => status.host === this.host(ordinal)) || null; }

  ending(ordinal) { return Boolean((this.seen.pods[ordinal] || {}).deleting); }

  serves(ordinal) {
    const status = this.status(ordinal);
    const answer = this.answer(ordinal);
    const itself = answer.state === 'ARBITER'
      ? [MEMBER, NO_USER].includes(answer.kind)
      : answer.kind === MEMBER && ['PRIMARY', 'SECONDARY'].includes(answer.state);
    return Boolean(status && servesBy(status) && itself && !this.ending(ordinal));
  }

  // Seconds behind the primary, less the delay that is asked of it; null where that is not known.
  behind(ordinal) {
    const status = this.status(ordinal);
    if (!status || !status.optime) return null;
    const newest = this.status(this.primary);
    const own = this.answer(ordinal).statuses.find((one) => one.host === status.host);
    const written = Math.max(status.optime, own ? own.optime : 0);
    const delay = this.current.get(ordinal).secondary_delay_secs;
    return Math.max(0, (newest ? newest.optime : 0) - written - delay);
  }

  lags(ordinal) {
    const behind = this.behind(ordinal);
    return behind === null || behind > this.desired.lag_limit;
  }

  notServing(ordinals) {
    return ordinals.filter((o) => this.current.has(o) && !this.serves(o)).map((o) => this.pod(o)).join(', ');
  }

  votesMissing() {
    if (this.primary === null) return '';
    const votes = voters(this.config.members);
    const voting = this.answer(this.primary).voting;
    return voting === votes ? '' : `${voting} of ${votes} votes count so far`;
  }

  movePrimary(candidates) {
    const fit = candidates
      .filter((o) => o !== this.primary && electable(this.current.get(o)) && this.serves(o) && !this.lags(o))
      .filter((o) => !this.unseenBy(o).length);
    if (!fit.length) return wait(`another member can take over from the primary ${this.pod(this.primary)}`);
    const rank = (o) => [-this.current.get(o).priority, this.behind(o) || 0, o];
    const [to] = fit.sort((a, b) => compare(rank(a), rank(b)));
    return { action: 'step_down', target: this.pod(this.primary), ordinal: this.primary, to };
  }

  // Members that serve and that this one does not reach: as a primary it would lack them for a while.
  unseenBy(ordinal) {
    const interval = new Map(this.config.settings).get('heartbeatIntervalMillis') || 2000;
    const fresh = (status) => status.healthy && status.silent <= interval / 1000 + PATIENCE;
    const own = new Set(this.answer(ordinal).statuses.filter(fresh).map((status) => status.host));
    return this.asked().filter((o) => o !== ordinal && this.serves(o) && !own.has(this.host(o)));
  }

  // When nothing may be done

  refuses() {
    const standalone = this.ofKind(STANDALONE);
    if (standalone.length) return `${this.names(standalone)} runs without --replSet`;
    const told = new Set(this.asked().map((o) => (this.answer(o).config || {}).set_id).filter(Boolean));
    if (this.recorded && told.size && (told.size > 1 || !told.has(this.recorded))) {
      return `set id ${this.recorded} is recorded, and members report ${[...told].join(', ')}`;
    }
    if (told.size > 1 || this.apart()) return 'the members hold more than one replica set';
    if (this.recorded && this.emptied()) return `set id ${this.recorded} is recorded, and no member has that set any more`;
    if (this.ofKind(REFUSED).length && !this.ofKind(...HAS_CONFIG).length) {
      return `${this.names(this.ofKind(REFUSED))} refuses the password of the root Secret`;
    }
    return this.config ? this.foreign() : '';
  }

  names(ordinals) { return ordinals.map((ordinal) => this.pod(ordinal)).join(', '); }

  // Members without users, whose set id nobody may read, in sets that have no member in common.
  apart() {
    let groups = [];
    for (const ordinal of this.ofKind(MEMBER, NO_USER)) {
      const answer = this.answer(ordinal);
      const hosts = new Set(answer.statuses.map((status) => status.host));
      for (const member of answer.config ? answer.config.members : []) hosts.add(member.host);
      const meets = (group) => [...group].some((host) => hosts.has(host));
      const joined = groups.filter(meets);
      groups = [...groups.filter((group) => !meets(group)), new Set([...hosts, ...joined.flatMap((group) => [...group])])];
    }
    return groups.length > 1;
  }

  emptied() {
    const all = new Set([...this.ordinals, ...Object.keys(this.seen.pods).map(Number)]);
    return [...all].map((ordinal) => this.answer(ordinal))
      .every((answer) => (answer.kind === UNINITIALISED && answer.settled) || answer.kind === NO_USER);
  }

  foreign() {
    if (this.config.set_name !== this.target.replica_set) return `the members are in a set named ${this.config.set_name}`;
    for (const member of this.config.members) {
      const ordinal = this.ordinal(member.host);
      if (ordinal === null) return `${member.host} is in the configuration and is no pod of ${this.target.name}`;
      if (ordinal >= this.desired.members) continue;
      if (member.arbiter_only) return `${member.host} is an arbiter`;
      if (member.build_indexes !== this.wanted(ordinal).build_indexes) return `build_indexes of ${member.host} cannot change`;
    }
    return '';
  }

  // A set that nobody has formed yet

  // Claims that no pod uses may hold the set of before, and a pod sees none of them. So the playbook forms it.
  unformed() { return wait('the playbook forms the set: no member has one'); }

  // A set that exists, whoever formed it

  formed() {
    if (this.primary === null) return wait('a member is primary');
    const answer = this.answer(this.primary);
    if (answer.kind === NO_USER) {
      if (this.recorded) return wait('the members that have the root user');
      return { action: 'create_user', target: this.pod(this.primary), ordinal: this.primary };
    }
    if (!this.config) return wait(`${this.pod(this.primary)} reports its configuration`);
    if (!this.recorded) return { action: 'record', target: this.target.name, set_id: this.config.set_id };
    return this.members() || this.settings() || this.podsLeave() || this.end();
  }

  members() {
    const pending = this.ordinals.filter((ordinal) => !same(this.current.get(ordinal), this.wanted(ordinal)));
    const leaving = this.leaving();
    if (!pending.length && !leaving.length) return null;
    const ordinal = this.whoIsNext(pending, leaving);
    const planned = { ordinal, host: this.host(ordinal), version: this.config.version, term: this.config.term };
    if (leaving.includes(ordinal)) {
      return this.beforeLeaving(ordinal) || { action: 'remove', target: this.pod(ordinal), ...planned };
    }
    const before = this.current.get(ordinal);
    const options = this.wanted(ordinal);
    const action = before ? 'change' : 'add';
    return this.beforeChange(ordinal, before, options) || { action, target: this.pod(ordinal), ...planned, options };
  }

  // First who does not serve, because nothing is lost with it; then who would soonest be primary again.
  leaving() {
    const rank = (ordinal) => [
      Number(ordinal === this.primary && !this.heirs().length),
      Number(this.serves(ordinal)),
      -this.current.get(ordinal).priority,
      -ordinal,
    ];
    return [...this.current.keys()].filter((ordinal) => ordinal >= this.desired.members)
      .sort((a, b) => compare(rank(a), rank(b)));
  }

  // First what adds votes and candidates, last what takes them away.
  whoIsNext(pending, leaving) {
    const votes = voters(this.current.values());
    const gains = (o) => this.wanted(o).votes - (this.current.has(o) ? this.current.get(o).votes : 0);
    const room = pending.filter((o) => gains(o) <= 0 || votes < MOST_VOTERS);
    const there = room.filter((o) => this.current.has(o));
    const choices = [
      there.filter((o) => electable(this.wanted(o)) && gains(o) >= 0),
      room.filter((o) => !this.current.has(o)),
      there.filter((o) => gains(o) >= 0 && this.leavesCandidate(o)),
      leaving,
      there.filter((o) => gains(o) < 0 && this.leavesCandidate(o)),
      room,
      pending,
    ];
    return choices.find((choice) => choice.length)[0];
  }

  leavesCandidate(ordinal) {
    const after = new Map(this.current).set(ordinal, this.wanted(ordinal));
    return [...after].some(([other, options]) => electable(options) && other < this.desired.members);
  }

  staying() { return [...this.current.keys()].filter((ordinal) => ordinal < this.desired.members); }

  heirs() { return this.staying().filter((ordinal) => electable(this.current.get(ordinal))); }

  beforeChange(ordinal, before, after) {
    const alone = this.primary !== null && this.answer(this.primary).voting === 1;
    if ((before ? before.votes : 0) !== after.votes && !alone) {
      const voting = this.staying().filter((o) => this.current.get(o).votes);
      const lacking = this.notServing(voting) || this.votesMissing();
      if (lacking) return wait(`all voting members serve and vote: ${lacking}`);
    }
    if (!before) {
      const waits = this.mayJoin(ordinal);
      if (waits) return waits;
    }
    if (before && electable(before) && !electable(after) && this.primary === ordinal) return this.movePrimary(this.staying());
    return null;
  }

  // A member joins only when its own answer says that it has no other data to lose.
  mayJoin(ordinal) {
    const answer = this.answer(ordinal);
    if (answer.kind === UNINITIALISED && answer.settled) return null;
    if ([MEMBER, REMOVED].includes(answer.kind) && (answer.config || {}).set_id === this.config.set_id) return null;
    return wait(`${this.pod(ordinal)} can join: it is ${said(answer)}`);
  }

  // The primary is one that stays, and those that stay can vote without the one that leaves.
  beforeLeaving(ordinal) {
    if (this.primary >= this.desired.members && (this.primary === ordinal || this.heirs().length)) {
      return this.movePrimary(this.staying());
    }
    if (!this.current.get(ordinal).votes) return null;
    const status = this.status(ordinal);
    if (status && servesBy(status)) {
      const lacking = this.notServing(this.staying());
      return lacking ? wait(`all members that stay serve: ${lacking}`) : null;
    }
    // Its vote is lost already. What counts is that the others are a majority without it.
    const left = [...this.current].filter(([o, options]) => options.votes && o !== ordinal).map(([o]) => o);
    const serving = left.filter((o) => this.serves(o));
    const lacking = serving.length * 2 > left.length ? '' : this.notServing(left);
    return lacking ? wait(`a majority serves without ${this.pod(ordinal)}: ${lacking}`) : null;
  }

  settings() {
    const live = new Map(this.config.settings);
    const wrong = this.desired.settings.filter(([key, value]) => live.get(key) !== value);
    if (!wrong.length) return null;
    const { version, term } = this.config;
    return { action: 'settings', target: this.target.replica_set, settings: wrong, version, term };
  }

  podsLeave() {
    const there = Object.keys(this.seen.pods).map(Number).filter((ordinal) => ordinal >= this.desired.members);
    return there.length ? wait(`these pods are gone: ${this.names(there)}`) : null;
  }

  end() {
    const lacking = this.notServing(this.ordinals) || this.votesMissing();
    return lacking ? wait(`all members are PRIMARY or SECONDARY and vote: ${lacking}`) : null;
  }
}

// Whether this member is out of the set by the word of a majority of those that are in.
function isOut(host, answers) {
  const configs = answers.map((answer) => answer.config).filter(Boolean);
  const newest = configs.reduce((a, b) => (a && !newer(b, a) ? a : b), null);
  if (!newest || newest.members.some((member) => member.host === host)) return false;
  const voting = newest.members.filter((member) => member.votes).map((member) => member.host);
  const known = answers.filter((answer) => voting.includes(answer.host) && answer.config
    && answer.config.version === newest.version && answer.config.term === newest.term);
  return known.length * 2 > voting.length;
}

function wait(why) { return { action: 'wait', why: `wait until ${why}` }; }

function said(answer) { return answer.settled === false ? 'still reading its disk, perhaps' : answer.detail || answer.kind; }

function electable(options) { return Boolean(options && options.votes && options.priority > 0); }

function voters(members) { return [...members].reduce((sum, member) => sum + member.votes, 0); }

function servesBy(status) { return status.healthy && SERVING.includes(status.state); }

function same(a, b) { return Boolean(a) && FIELDS.every((name) => JSON.stringify(a[name]) === JSON.stringify(b[name])); }

// As mongod compares them: by the term first, and without one by the version alone.
function newer(a, b) {
  if (a.term <= 0 || b.term <= 0 || a.term === b.term) return a.version > b.version;
  return a.term > b.term;
}

function compare(a, b) {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at < 0 ? 0 : a[at] - b[at];
}

module.exports = { next, isOut, UNREACHABLE, UNINITIALISED, NO_USER, REFUSED, REMOVED, STANDALONE, MEMBER };
