// Copyright (c) 2026, The stateful.kube authors
// GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// How many members are wanted, and what of each: what member_options say, and MongoDB's own defaults. Pure, and the same
// as in plugins/module_utils/_mongodb/_desired.py.

'use strict';

const MOST_VOTERS = 7;
const USUAL = {
  priority: 1, votes: 1, hidden: false, tags: [], secondary_delay_secs: 0, build_indexes: true, arbiter_only: false,
};

// `entries` are those of member_options, whose ordinals may be beyond the members that there are now.
function desiredOf(members, entries, settings, lagLimit) {
  const known = entries.map((entry) => ({ ...entry, ...numbers(entry) })).filter((entry) => entry.ordinal < members);
  const given = new Map(known.map((entry) => [entry.ordinal, entry]));
  const silent = withoutVote(members, given);
  const options = {};
  for (const ordinal of new Set([...given.keys(), ...silent])) {
    options[ordinal] = memberOptions(given.get(ordinal) || {}, silent.has(ordinal));
  }
  return { members, options, settings, lag_limit: lagLimit };
}

// Of more than seven members seven vote, and of an even number one does not: those with the highest ordinals are silent.
function withoutVote(members, given) {
  const all = range(members);
  const entry = (ordinal) => given.get(ordinal) || {};
  const free = all.filter((ordinal) => missing(entry(ordinal).votes) && missing(entry(ordinal).priority));
  const voters = members - [...given.values()].filter((one) => one.votes === 0).length;
  let excess = Math.max(0, voters - MOST_VOTERS);
  excess += (voters - excess) % 2 === 0 ? 1 : 0;
  const silent = new Set(free.slice(Math.max(0, free.length - excess)));
  const electable = all.filter((o) => !silent.has(o) && entry(o).priority !== 0 && entry(o).votes !== 0);
  if (silent.size && !electable.length) silent.delete(Math.min(...silent));
  return silent;
}

function memberOptions(entry, isSilent) {
  const votes = missing(entry.votes) ? (isSilent ? 0 : 1) : entry.votes;
  const tags = Object.entries(entry.tags || {}).map(([key, value]) => [String(key), String(value)]);
  return {
    priority: missing(entry.priority) ? votes : entry.priority,
    votes,
    hidden: Boolean(entry.hidden),
    tags: tags.sort(([a], [b]) => (a < b ? -1 : 1)),
    secondary_delay_secs: entry.secondary_delay_secs || 0,
    build_indexes: entry.build_indexes !== false,
    arbiter_only: false, // the role takes none together with the autopilot
  };
}

// A variable of the command line is text.
function numbers(entry) {
  const names = ['ordinal', 'priority', 'votes', 'secondary_delay_secs'].filter((name) => !missing(entry[name]));
  return Object.fromEntries(names.map((name) => [name, Number(entry[name])]));
}

// The fields of the configuration that the role's settings mean, as pairs.
function settingsOf(settings) {
  return Object.entries(settings).filter(([, value]) => !missing(value))
    .map(([key, value]) => [key.replace(/_([a-z])/g, (_unused, letter) => letter.toUpperCase()), value]);
}

function range(length) { return Array.from({ length }, (_unused, index) => index); }

function missing(value) { return value === undefined || value === null; }

module.exports = { MOST_VOTERS, USUAL, desiredOf, range, settingsOf };
