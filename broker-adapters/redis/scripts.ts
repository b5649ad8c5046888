import type { Redis } from 'ioredis'

// What must happen as one at the server and is not a script of BullMQ. Jobs, lists and sets are laid out as BullMQ 5 and 6 have them:
// https://docs.bullmq.io; `KEYS[1]` is always what comes before the name of a key of the queue, which all lie in one slot.

/** Lua that several scripts begin with. `base` is the beginning of all keys of a queue. */
const LIBRARY = `
local base = KEYS[1]
local function jobKey(id) return base .. id end

-- What is ready is taken by who waits for a marker.
local function wake()
  if redis.call('HEXISTS', base .. 'meta', 'paused') == 0 then redis.call('ZADD', base .. 'marker', 0, '0') end
end
local function putReady(id)
  local priority = tonumber(redis.call('HGET', jobKey(id), 'priority')) or 0
  if priority == 0 then
    redis.call('LPUSH', base .. 'wait', id)
  else
    local count = redis.call('INCR', base .. 'pc')
    redis.call('ZADD', base .. 'prioritized', priority * 0x100000000 + count % 0x100000000, id)
  end
end
-- The turn of a key goes from the job that had it to the next in line.
local function passTurn(key, id)
  if redis.call('HGET', base .. 'rt:turns', key) ~= id then return end
  local line = base .. 'rt:line:' .. key
  local following = redis.call('LPOP', line)
  while following do
    redis.call('HDEL', base .. 'rt:behind', following)
    if redis.call('EXISTS', jobKey(following)) == 1 then
      redis.call('HSET', base .. 'rt:turns', key, following)
      putReady(following)
      return wake()
    end
    following = redis.call('LPOP', line)
  end
  redis.call('HDEL', base .. 'rt:turns', key)
end
-- Stands at the end of the line of its key, unless nobody has the turn. False: it has to wait.
local function takeTurn(key, id)
  if redis.call('HSETNX', base .. 'rt:turns', key, id) == 1 then return true end
  redis.call('RPUSH', base .. 'rt:line:' .. key, id)
  redis.call('HSET', base .. 'rt:behind', id, key)
  return false
end
local function leaveReady(id)
  return redis.call('LREM', base .. 'wait', 1, id) > 0 or redis.call('ZREM', base .. 'prioritized', id) > 0
end
local function forget(id)
  redis.call('DEL', jobKey(id), jobKey(id) .. ':logs', jobKey(id) .. ':lock')
end
`

/** A job was added: if it has a key, it waits for its turn. Not again for one that was there already. ARGV: id, key. */
const PLACE = `${LIBRARY}
local id, key = ARGV[1], ARGV[2]
if redis.call('EXISTS', jobKey(id)) == 0 then return 0 end
if redis.call('HSETNX', jobKey(id), 'rtKey', key) == 0 then return 0 end
if redis.call('ZSCORE', base .. 'delayed', id) then
  redis.call('HDEL', jobKey(id), 'rtKey') -- it takes its place when it is due
  return 0
end
if not takeTurn(key, id) then leaveReady(id) end
return 1
`

/**
 * Takes jobs, in the way of BullMQ's own script, several at once: what is due is made ready, locks are set, hand-overs counted. A job
 * with a key that has no turn yet, as it was delayed or a stranger has put it there, goes into the line instead. What is no job
 * becomes a dead letter. ARGV: how many at most, now, ms of the lock, token, '1' if the queue is keyed.
 * Answers {{id, name, data, hand-overs, fence}, …}, when the next delayed one is due, and how many were no jobs.
 */
const TAKE = `${LIBRARY}
local most, now, lockMs, token, isKeyed = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5] == '1'

local due = redis.call('ZRANGEBYSCORE', base .. 'delayed', 0, (now + 1) * 0x1000 - 1, 'LIMIT', 0, 1000)
if #due > 0 then
  redis.call('ZREM', base .. 'delayed', unpack(due))
  for _, id in ipairs(due) do
    redis.pcall('HSET', jobKey(id), 'delay', 0)
    putReady(id)
  end
end

local function nextId()
  local id = redis.call('RPOPLPUSH', base .. 'wait', base .. 'active')
  if id then return id end
  local first = redis.call('ZPOPMIN', base .. 'prioritized')
  if first[1] then redis.call('LPUSH', base .. 'active', first[1]) end
  return first[1]
end
local function keyOf(known, data)
  if known or not isKeyed then return known end
  local isJson, value = pcall(cjson.decode, data)
  local headers = isJson and type(value) == 'table' and value.headers
  local key = type(headers) == 'table' and headers['rt-key']
  return type(key) == 'string' and key or false
end
local function expel(id, kind)
  redis.call('LREM', base .. 'active', 1, id)
  redis.call('SREM', base .. 'stalled', id)
  local letter, reason = 'dead~' .. id, 'the key of the job is a ' .. kind
  redis.call('HSET', jobKey(letter), 'name', 'unknown', 'opts', '{}', 'timestamp', now, 'delay', 0, 'priority', 0,
    'data', cjson.encode({ id = id, dead = { code = 'INVALID_MESSAGE', attempts = 0, at = now, reason = reason } }),
    'failedReason', reason, 'finishedOn', now)
  redis.call('ZADD', base .. 'failed', now, letter)
end

local taken, strangers, isPaused = {}, 0, redis.call('HEXISTS', base .. 'meta', 'paused') == 1
while not isPaused and #taken < most do
  local id = nextId()
  if not id then break end
  local kind = redis.call('TYPE', jobKey(id)).ok
  if kind ~= 'hash' then
    expel(id, kind)
    strangers = strangers + 1
  else
    local facts = redis.call('HMGET', jobKey(id), 'name', 'data', 'rtKey')
    local key, fence = keyOf(facts[3], facts[2] or ''), 0
    if key and redis.call('HGET', base .. 'rt:turns', key) ~= id and not takeTurn(key, id) then
      redis.call('HSET', jobKey(id), 'rtKey', key)
      redis.call('LREM', base .. 'active', 1, id)
    else
      if key then
        redis.call('HSET', jobKey(id), 'rtKey', key)
        fence = redis.call('INCR', base .. 'rt:fence')
      end
      redis.call('SET', jobKey(id) .. ':lock', token .. ':' .. #taken, 'PX', lockMs)
      redis.call('HSET', jobKey(id), 'processedOn', now)
      local count = redis.call('HINCRBY', jobKey(id), 'ats', 1)
      taken[#taken + 1] = { id, facts[1] or '', facts[2] or '', count, fence }
    end
  end
end
if not isPaused and (redis.call('LLEN', base .. 'wait') > 0 or redis.call('ZCARD', base .. 'prioritized') > 0) then wake() end
local following = redis.call('ZRANGE', base .. 'delayed', 0, 0, 'WITHSCORES')
return { taken, following[2] and math.floor(tonumber(following[2]) / 0x1000) or 0, strangers }
`

/** A job was finished in the same transaction: if it was, the next of its key is ready. ARGV: id, key. */
const PASS = `${LIBRARY}
local id = ARGV[1]
local isOver = redis.call('EXISTS', jobKey(id)) == 0 or redis.call('HEXISTS', jobKey(id), 'finishedOn') == 1
if isOver then passTurn(ARGV[2], id) end
return isOver and 1 or 0
`

/**
 * A dead letter is a failed job. With the token of a lock only if that is still held. 0: it is not. ARGV: id of the letter, name,
 * data, reason, attempts, now, id of the job, token or ''.
 */
const BURY = `${LIBRARY}
if ARGV[8] ~= '' and redis.call('GET', jobKey(ARGV[7]) .. ':lock') ~= ARGV[8] then return 0 end
redis.call('DEL', jobKey(ARGV[1]))
redis.call('HSET', jobKey(ARGV[1]), 'name', ARGV[2], 'data', ARGV[3], 'opts', '{}', 'timestamp', ARGV[6], 'delay', 0,
  'priority', 0, 'atm', ARGV[5], 'failedReason', ARGV[4], 'processedOn', ARGV[6], 'finishedOn', ARGV[6])
redis.call('ZADD', base .. 'failed', ARGV[6], ARGV[1])
return 1
`

/** Takes a dead letter away. 1: it was there. ARGV: id of the letter; of its replay too, without which it stays. */
const EXHUME = `${LIBRARY}
if ARGV[2] and redis.call('EXISTS', jobKey(ARGV[2])) == 0 then return 0 end
local count = redis.call('ZREM', base .. 'failed', ARGV[1])
if count == 1 then forget(ARGV[1]) end
return count
`

/** Takes a job away that waits. 1: it did, and was never handed out; 2: it did; 0: it does not. ARGV: id. */
const REMOVE = `${LIBRARY}
local id = ARGV[1]
local facts = redis.call('HMGET', jobKey(id), 'ats', 'stc', 'rtRan', 'rtKey')
local key = facts[4]
local waited = leaveReady(id) or redis.call('ZREM', base .. 'delayed', id) > 0
if not waited and redis.call('HDEL', base .. 'rt:behind', id) > 0 then
  waited = redis.call('LREM', base .. 'rt:line:' .. key, 1, id) > 0
end
if not waited then return 0 end
forget(id)
if key then passTurn(key, id) end
if (tonumber(facts[1]) or 0) > 0 or (tonumber(facts[2]) or 0) > 0 or facts[3] then return 2 end
return 1
`

/**
 * Removes at most 500 of what is ready, delayed or dead; how many. It takes them from the ends of lists, as to look for each would take
 * the server as long as the list is. ARGV: which.
 */
const PURGE = `${LIBRARY}
local what, most = ARGV[1], 500
local ids = {}
if what == 'ready' then
  ids = redis.call('RPOP', base .. 'wait', most) or {}
  if #ids == 0 then
    local found = redis.call('ZPOPMIN', base .. 'prioritized', most)
    for i = 1, #found, 2 do ids[#ids + 1] = found[i] end
  end
  if #ids == 0 then
    local found = redis.call('HSCAN', base .. 'rt:behind', '0', 'COUNT', 1)[2]
    if found[1] then ids = redis.call('LPOP', base .. 'rt:line:' .. found[2], most) or { found[1] } end
    for _, id in ipairs(ids) do redis.call('HDEL', base .. 'rt:behind', id) end
  end
else
  local found = redis.call('ZPOPMIN', base .. (what == 'dead' and 'failed' or 'delayed'), most)
  for i = 1, #found, 2 do ids[#ids + 1] = found[i] end
end
for _, id in ipairs(ids) do
  local key = redis.call('HGET', jobKey(id), 'rtKey')
  forget(id)
  if key then passTurn(key, id) end
end
return #ids
`

/** The name of the first command that the user may not give; nil: none. ARGV: a channel, then commands, see rights.ts. */
const RIGHTS = `
for i = 2, #ARGV do
  local words = {}
  for word in string.gmatch(ARGV[i], '%S+') do
    if string.sub(word, 1, 1) == '@' then word = KEYS[1] .. string.sub(word, 2) end
    words[#words + 1] = word == '#' and ARGV[1] or word
  end
  local answer = redis.pcall(unpack(words))
  local problem = type(answer) == 'table' and answer.err or ''
  if string.find(problem, 'NOPERM') or string.find(problem, 'ACL failure') or string.find(problem, 'user executing the script') then
    return words[1]
  end
end
return false
`

/** Makes an inbox, or lengthens its life. 1: it was not there. ARGV: ms. KEYS[1] is the inbox. */
const INBOX = `
local isNew = 0
if redis.call('EXISTS', KEYS[1]) == 0 then
  local id = redis.call('XADD', KEYS[1], '*', 'made', '')
  redis.call('XDEL', KEYS[1], id)
  isNew = 1
end
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return isNew
`

/** Opens a mailbox; ARGV: token of who makes it, ms or 0 to read only. nil: there is none. KEYS[1] is the mailbox. */
const MAILBOX = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  if ARGV[2] == '0' then return false end
  redis.call('HSET', KEYS[1], 'maker', ARGV[1], 'keepMs', ARGV[2])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('HMGET', KEYS[1], 'maker', 'keepMs', 'meta', 'body')
`

/** Stores an outcome if it is the first of the highest generation. ARGV: replay, meta, body, ms. KEYS[1] is the mailbox. */
const KEEP = `
local known = tonumber(redis.call('HGET', KEYS[1], 'replay') or '-1')
if known >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'replay', ARGV[1], 'meta', ARGV[2], 'body', ARGV[3], 'keepMs', ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
`

const LUA = {
  place: PLACE,
  take: TAKE,
  pass: PASS,
  bury: BURY,
  exhume: EXHUME,
  remove: REMOVE,
  purge: PURGE,
  rights: RIGHTS,
  inbox: INBOX,
  mailbox: MAILBOX,
  keep: KEEP,
} as const

export type ScriptName = keyof typeof LUA
type Argument = string | number | Buffer

export interface Scripts {
  run(name: ScriptName, key: string, ...args: readonly Argument[]): Promise<unknown>
  /** Strings of the answer as bytes. */
  runForBytes(name: ScriptName, key: string, ...args: readonly Argument[]): Promise<unknown>
}

/**
 * In a transaction a script goes there whole: one that the server has forgotten would be missed there while the rest is done, as
 * after `SCRIPT FLUSH`, and half of what belongs together is what no later try can mend.
 */
export function addScript(
  transaction: { readonly runCommand: (name: string, args: Argument[]) => unknown },
  name: ScriptName,
  ...args: readonly [key: string, ...Argument[]]
): void {
  transaction.runCommand('eval', [LUA[name], 1, ...args])
}

/** The name that a script has as a command of the library. */
function commandOf(name: ScriptName): string {
  return `replyto:${name}`
}

type Command = (key: string, ...args: readonly Argument[]) => Promise<unknown>

export function defineScripts(connection: Redis): Scripts {
  for (const name of Object.keys(LUA) as ScriptName[])
    // its own keys
    connection.defineCommand(commandOf(name), { numberOfKeys: 1, lua: LUA[name] })
  const commands = connection as unknown as Record<string, Command> // defined above
  const run = (command: string, key: string, args: readonly Argument[]): Promise<unknown> => {
    const defined = commands[command]
    if (defined === undefined) throw new Error(`${command} is not defined`)
    return defined.call(connection, key, ...args)
  }
  return {
    run: (name, key, ...args) => run(commandOf(name), key, args),
    runForBytes: (name, key, ...args) => run(`${commandOf(name)}Buffer`, key, args),
  }
}
