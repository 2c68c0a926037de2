-- All operations of one call on one slot. Nothing is written before everything was read and found whole.
--
-- ARGV[1] is the time in milliseconds that tests say; empty, as ever else, it is this server's.
-- KEYS and the rest of ARGV are the operations: a letter, its numbers, and as many keys as it takes.
-- Answers are integers, as many for each operation as it has to say; sums of CAP and times of -1 have their meaning in answer.rs.

local CAP = 9007199254740991  -- 2^53 - 1: above it numbers are not exact
local PARTS = 64              -- of a window
local MOST = PARTS + 2        -- buckets of a tally
local KEEP = 60000            -- ms that a key outlives what it holds, for a server whose clock steps back
local AHEAD = 34560000000     -- ms: nothing that we wrote lies 400 days ahead
local MEMBERS = 1024
local HEAD, BUCKET = 22, 13   -- octets
local SHARE = 4               -- one holder of leases is lent at most this part of what is left
local now

if ARGV[1] == '' then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
else
  now = tonumber(ARGV[1])
end

local function text(number) return string.format('%.0f', number) end

-- Tallies: "T", version 1, an octet to spare, born (7 octets), window (6), since (6), then for each bucket its last time (6) and its
-- sum (7). An addition before `since` is in no bucket any more.

local function read_tally(raw)
  if not raw then return { window = 0, since = 0, count = 0, last = {}, sum = {} } end
  if type(raw) ~= 'string' then return nil end
  local count = (#raw - HEAD) / BUCKET
  if count < 1 or count > MOST or count % 1 ~= 0 or raw:sub(1, 3) ~= 'T\1\0' then return nil end
  local born, window, since = struct.unpack('>I7I6I6', raw, 4)
  local flat = { struct.unpack('>' .. string.rep('I6I7', count), raw, HEAD + 1) }
  local tally = { born = born, window = window, since = since, count = count, last = {}, sum = {} }
  local before = since - 1
  for at = 1, count do
    local last, sum = flat[2 * at - 1], flat[2 * at]
    if last <= before or sum > CAP then return nil end
    tally.last[at], tally.sum[at], before = last, sum, last
  end
  if before > now + AHEAD then return nil end
  return tally
end

-- What was only given back is kept for as long as it was going to be.
local function write_tally(key, tally, added)
  local flat = {}
  for at = 1, tally.count do
    flat[2 * at - 1], flat[2 * at] = tally.last[at], tally.sum[at]
  end
  local format = '>c3I7I6I6' .. string.rep('I6I7', tally.count)
  local raw = struct.pack(format, 'T\1\0', tally.born, tally.window, tally.since, unpack(flat))
  if not added then return redis.call('SET', key, raw, 'KEEPTTL') end
  local left = tally.last[tally.count] - now + tally.window + KEEP
  redis.call('SET', key, raw, 'PX', text(math.max(left, 1)))
end

-- Time does not go back for a tally, whatever this server's clock does.
local function time_of(tally) return math.max(now, tally.last[tally.count] or 0) end

-- The sum over the window that ends now, and the first bucket that is in it.
local function held(tally, window)
  local time, sum, first = time_of(tally), 0, tally.count + 1
  for at = tally.count, 1, -1 do
    if tally.last[at] + window <= time then break end
    sum, first = math.min(sum + tally.sum[at], CAP), at
  end
  return sum, first
end

-- In how long `excess` will have left the window.
local function relief(tally, window, first, excess)
  local freed = 0
  for at = first, tally.count do
    freed = freed + tally.sum[at]
    if freed >= excess then return tally.last[at] + window - now end
  end
  return -1
end

local function drop_first(tally, gone)
  tally.since = tally.last[gone] + 1
  for at = 1, tally.count do
    tally.last[at], tally.sum[at] = tally.last[at + gone], tally.sum[at + gone]
  end
  tally.count = tally.count - gone
end

local function add(tally, born, window, cost)
  tally.born = tally.born or born
  tally.window = math.max(tally.window, window)
  local time, gone = time_of(tally), 0
  while gone < tally.count and tally.last[gone + 1] + tally.window <= time do gone = gone + 1 end
  if gone > 0 then drop_first(tally, gone) end
  local grain, newest = math.max(math.ceil(tally.window / PARTS), 1), tally.count
  if newest > 0 and math.floor(tally.last[newest] / grain) == math.floor(time / grain) then
    tally.last[newest], tally.sum[newest] = time, math.min(tally.sum[newest] + cost, CAP)
  else
    newest = newest + 1
    tally.count, tally.last[newest], tally.sum[newest] = newest, time, cost
  end
  -- A key that is asked about a longer window than before holds finer parts. The oldest two become one, which counts as long as the later.
  while tally.count > MOST do
    tally.sum[2] = math.min(tally.sum[1] + tally.sum[2], CAP)
    table.remove(tally.last, 1)
    table.remove(tally.sum, 1)
    tally.count = tally.count - 1
  end
  return time
end

local function give_back(tally, born, time, cost)
  if tally.born ~= born or time < tally.since then return false end
  for at = 1, tally.count do
    if tally.last[at] >= time then
      -- A sum that overflowed no longer knows what it holds; it stays until it fades.
      if tally.sum[at] < CAP then tally.sum[at] = math.max(tally.sum[at] - cost, 0) end
      return true
    end
  end
  return false
end

-- Locks: "L", version 2, the end of the last one (6 octets), how many there were in a row (4), when the last one began (6). Version 1,
-- which older proxies wrote, does not say when it began: long ago.

local function read_lock(raw)
  if not raw then return { finish = 0, count = 0, began = 0 } end
  if type(raw) ~= 'string' then return nil end
  local began, version = 0, raw:sub(1, 2)
  if version == 'L\2' and #raw == 18 then
    began = struct.unpack('>I6', raw, 13)
  elseif version ~= 'L\1' or #raw ~= 12 then
    return nil
  end
  local finish, count = struct.unpack('>I6I4', raw, 3)
  if finish > now + AHEAD or began > now + AHEAD then return nil end
  return { finish = finish, count = count, began = began }
end

local function locked(lock)
  if lock.count > 0 and lock.finish > now then return lock.finish - now end
  return -1
end

-- One that only ends is kept for as long as it was going to be.
local function write_lock(key, lock, keep)
  local raw = struct.pack('>c2I6I4I6', 'L\2', lock.finish, lock.count, lock.began)
  if not keep then return redis.call('SET', key, raw, 'KEEPTTL') end
  redis.call('SET', key, raw, 'PX', text(keep))
end

local function set_lock(key, lock, base, growth, max)
  if locked(lock) > 0 then return locked(lock) end
  local count = lock.count
  if lock.finish + max <= now then count = 0 end
  local length = 0
  if base > 0 then length = math.min(base * math.max(growth, 1) ^ count, max, AHEAD) end
  if length == 0 then return -1 end
  lock.finish, lock.count, lock.began = now + length, math.min(count + 1, 4294967295), now
  write_lock(key, lock, length + max + KEEP)
  return length
end

-- Ends a lock that began by `before`; it goes on to count.
local function end_lock(key, lock, before)
  if locked(lock) <= 0 or lock.began > before then return end
  lock.finish = now
  write_lock(key, lock)
end

-- Points: "P", version 1, the longest time they are kept (6 octets), then for each award its signal (1), points (4) and time (6), the
-- oldest first.

local AWARDS = 64

local function read_purse(raw)
  if not raw then return { keep = 0, list = {} } end
  if type(raw) ~= 'string' or raw:sub(1, 2) ~= 'P\1' then return nil end
  local count = (#raw - 8) / 11
  if count < 0 or count > AWARDS or count % 1 ~= 0 then return nil end
  local purse = { keep = struct.unpack('>I6', raw, 3), list = {} }
  for at = 1, count do
    local signal, points, time = struct.unpack('>I1I4I6', raw, 9 + 11 * (at - 1))
    if time > now + AHEAD then return nil end
    purse.list[at] = { signal, points, time }
  end
  return purse
end

local function write_purse(key, purse)
  local newest = purse.list[#purse.list][3]
  local parts = { struct.pack('>c2I6', 'P\1', purse.keep) }
  for _, award in ipairs(purse.list) do
    parts[#parts + 1] = struct.pack('>I1I4I6', award[1], award[2], award[3])
  end
  redis.call('SET', key, table.concat(parts), 'PX', text(math.max(newest - now + purse.keep + KEEP, 1)))
end

local function time_of_purse(purse)
  local newest = purse.list[#purse.list]
  return math.max(now, newest and newest[3] or 0)
end

-- What was awarded less than `keep` ago.
local function left(purse, keep)
  local time, list = time_of_purse(purse), {}
  for _, award in ipairs(purse.list) do
    if award[3] + keep > time then list[#list + 1] = award end
  end
  return list
end

local function award(key, purse, signal, points, hold, keep)
  local time = time_of_purse(purse)
  for _, award in ipairs(purse.list) do
    if award[1] == signal and award[3] + hold > time then return false end
  end
  purse.keep = math.max(purse.keep, keep)
  purse.list = left(purse, purse.keep)
  if #purse.list >= AWARDS then table.remove(purse.list, 1) end
  purse.list[#purse.list + 1] = { signal, points, time }
  write_purse(key, purse)
  return true
end

-- Correspondents: "C", version 1, when the first of all came (6 octets), how long one is kept (6), then for each its mark (6), when it
-- first came (6; 0 is longer ago than anybody asks) and when it last did (6).

local CIRCLE = 1024

local function read_circle(raw)
  if not raw then return { born = 0, keep = 0, list = {} } end
  if type(raw) ~= 'string' or raw:sub(1, 2) ~= 'C\1' then return nil end
  local count = (#raw - 14) / 18
  if count < 1 or count > CIRCLE or count % 1 ~= 0 then return nil end
  local born, keep = struct.unpack('>I6I6', raw, 3)
  local circle = { born = born, keep = keep, list = {} }
  for at = 1, count do
    local mark, first, last = struct.unpack('>c6I6I6', raw, 15 + 18 * (at - 1))
    if last > now + AHEAD then return nil end
    circle.list[at] = { mark, first, last }
  end
  return circle
end

local function write_circle(key, circle)
  local parts, newest = { struct.pack('>c2I6I6', 'C\1', circle.born, circle.keep) }, 0
  for _, known in ipairs(circle.list) do
    newest = math.max(newest, known[3])
    parts[#parts + 1] = struct.pack('>c6I6I6', known[1], known[2], known[3])
  end
  redis.call('SET', key, table.concat(parts), 'PX', text(math.max(newest - now + circle.keep + KEEP, 1)))
end

local function correspond(key, circle, marks, window, learn, keep)
  local time, before, by_mark = now, circle.list, {}
  for _, known in ipairs(before) do time = math.max(time, known[3]) end
  circle.keep, circle.list = math.max(circle.keep, keep), {}
  for _, known in ipairs(before) do
    if known[3] + circle.keep > time then
      circle.list[#circle.list + 1] = known
      by_mark[known[1]] = known
    end
  end
  if #circle.list == 0 then circle.born = time end
  for at = 1, #marks, 6 do
    local mark = marks:sub(at, at + 5)
    local known = by_mark[mark]
    if known then
      known[3] = time
    else
      known = { mark, time, time }
      circle.list[#circle.list + 1], by_mark[mark] = known, known
    end
  end
  local surplus = #circle.list - CIRCLE
  if surplus > 0 then
    table.sort(circle.list, function(one, other) return one[3] > other[3] end)
    for _ = 1, surplus do table.remove(circle.list) end
  end
  if #marks > 0 then write_circle(key, circle) end
  local fresh = 0
  for _, known in ipairs(circle.list) do
    if known[2] > 0 and known[2] >= circle.born + learn and known[2] + window > time then fresh = fresh + 1 end
  end
  return fresh
end

-- Nobody in it is new any more.
local function settle(key)
  local circle = read_circle(redis.call('GET', key))
  if not circle or #circle.list == 0 then return end
  for _, known in ipairs(circle.list) do known[2] = 0 end
  write_circle(key, circle)
end

-- Forgets what is from `before` or earlier: parts of a tally to which nothing was added since, members, awards, who is new.

local function forgive_tally(key, tally, before)
  local gone = 0
  while gone < tally.count and tally.last[gone + 1] <= before do gone = gone + 1 end
  if gone == 0 then return tally end
  if gone == tally.count then
    redis.call('DEL', key)
    return read_tally(false)
  end
  drop_first(tally, gone)
  return tally
end

local function forgive_purse(key, purse, before)
  local list = {}
  for _, award in ipairs(purse.list) do
    if award[3] > before then list[#list + 1] = award end
  end
  if #list == #purse.list then return end
  purse.list = list
  if #list == 0 then redis.call('DEL', key) else write_purse(key, purse) end
end

local function settle_until(key, circle, before)
  local came = false
  for _, known in ipairs(circle.list) do
    if known[2] > 0 and known[2] <= before then known[2], came = 0, true end
  end
  if came then write_circle(key, circle) end
end

-- Sets of distinct items are sorted sets, by when each was last seen.

local function newest_of(key)
  local found = redis.pcall('ZRANGE', key, -1, -1, 'WITHSCORES')
  if found.err then return nil end
  if #found == 0 then return 0 end
  local seen = tonumber(found[2])
  if not seen or seen ~= seen or seen < 0 or seen > now + AHEAD then return nil end
  return seen
end

local function see(key, item, window)
  local time = math.max(now, newest_of(key))
  redis.call('ZREMRANGEBYSCORE', key, '-inf', text(time - window))
  local count = redis.call('ZCARD', key)
  local known = redis.call('ZSCORE', key, item)
  if known or count < MEMBERS then
    redis.call('ZADD', key, text(time), item)
    redis.call('PEXPIRE', key, text(time - now + window + KEEP))
    if not known then count = count + 1 end
  end
  return count
end

local function count_set(key, window)
  local time = math.max(now, newest_of(key))
  return redis.call('ZCOUNT', key, '(' .. text(time - window), '+inf')
end

local function admit(key, item, most, window)
  local count = count_set(key, window)
  local seen = redis.call('ZSCORE', key, item)
  local known = seen and tonumber(seen) > math.max(now, newest_of(key)) - window
  if not known and count >= math.min(most, MEMBERS) then return math.max(count, most) + 1 end
  return see(key, item, window)
end

-- Takes an item out, with no more commands than users were given rights to.
local function forget(key, item)
  redis.call('ZADD', key, 'XX', '-1', item)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '-1')
end

-- What somebody disowned: "D", version 1, how long it is remembered (6 octets), then for each span its first and its last moment (6 each),
-- the oldest first; no two touch.

local SPANS = 8

local function read_spans(raw)
  if not raw then return { keep = 0, list = {} } end
  if type(raw) ~= 'string' or raw:sub(1, 2) ~= 'D\1' then return nil end
  local count = (#raw - 8) / 12
  if count < 1 or count > SPANS or count % 1 ~= 0 then return nil end
  local spans = { keep = struct.unpack('>I6', raw, 3), list = {} }
  for at = 1, count do
    local first, last = struct.unpack('>I6I6', raw, 9 + 12 * (at - 1))
    if first > last or last > now + AHEAD then return nil end
    spans.list[at] = { first, last }
  end
  return spans
end

local function disown(key, spans, first, last, keep)
  local list = {}
  spans.keep = math.max(spans.keep, keep)
  for _, span in ipairs(spans.list) do
    if span[1] <= last + 1 and first <= span[2] + 1 then
      first, last = math.min(first, span[1]), math.max(last, span[2])
    elseif span[2] + spans.keep > now then
      list[#list + 1] = span
    end
  end
  list[#list + 1] = { first, last }
  table.sort(list, function(one, other) return one[1] < other[1] end)
  if #list > SPANS then
    list[2][1] = list[1][1]
    table.remove(list, 1)
  end
  spans.list = list
  local parts = { struct.pack('>c2I6', 'D\1', spans.keep) }
  for _, span in ipairs(list) do parts[#parts + 1] = struct.pack('>I6I6', span[1], span[2]) end
  local left = list[#list][2] - now + spans.keep + KEEP
  redis.call('SET', key, table.concat(parts), 'PX', text(math.max(left, 1)))
end

-- Takes out of a set what was last seen in a span that is disowned.
local function heed(key, spans)
  for _, span in ipairs(spans.list) do
    redis.call('ZREMRANGEBYSCORE', key, text(span[1]), text(span[2]))
  end
end

-- Leases: a sorted set beside a tally, of the processes that were lent some of it, by when what they were lent can no longer be spent.

-- How many hold leases of a key, with the one that asks; nothing if the key is not ours.
local function holders(key, who, life)
  local gone = redis.pcall('ZREMRANGEBYSCORE', key, '-inf', text(now))
  if type(gone) == 'table' and gone.err then return nil end
  redis.call('ZADD', key, text(now + life), text(who))
  redis.call('PEXPIRE', key, text(life))
  return redis.call('ZCARD', key)
end

-- Charges credit ahead, for `who` to spend within `life`. All of the tally counts so much longer from now on, for whoever asks.
local function lend(tally, set, limit, window, born, life, want, least, who)
  local sharers = holders(set, who, life)
  if not sharers then return 0 end
  window = math.max(window + life, tally.window)
  local sum = held(tally, window)
  local slice = math.min(want, math.floor((limit - sum) / (SHARE * sharers)))
  if sum >= CAP or slice < least then return 0 end
  return slice, add(tally, born, window, slice)
end

-- Reads the operations, and everything that they are about.

local SHAPES = { -- what it is about, numbers, keys
  G = { 'tally', 4, 1 }, Q = { 'tally', 8, 2 }, M = { 'tally', 3, 1 }, R = { 'tally', 1, 1 }, B = { 'tally', 3, 1 },
  D = { 'set', 2, 1 }, E = { 'set', 3, 1 }, U = { 'set', 1, 1 }, C = { 'set', 1, 1 }, L = { 'lock', 3, 1 }, K = { 'lock', 0, 1 },
  A = { 'purse', 4, 1 }, P = { 'purse', 1, 1 }, W = { 'circle', 4, 1 }, V = { 'spans', 3, 1 }, H = { 'set', 0, 2 },
  X = { 'none', 0, 4 }, N = { 'none', 0, 1 }, F = { 'all', 1, 5 },
}
local TAKES_OCTETS = { D = true, E = true, U = true, W = true }
local ops, tallies, locks, touched, added, purses, circles, marks = {}, {}, {}, {}, {}, {}, {}, {}
local arg, name = 2, 1
while ARGV[arg] do
  local kind = ARGV[arg]
  local shape = SHAPES[kind]
  local op = { kind = kind, key = KEYS[name], set = KEYS[name + 1], purse = KEYS[name + 2], circle = KEYS[name + 3], lock = KEYS[name + 4] }
  local key, whole = op.key, true
  for at = 1, shape[2] do
    local value = ARGV[arg + at]
    if TAKES_OCTETS[kind] and at == 1 then op[at] = value else op[at] = tonumber(value) end
  end
  if shape[1] == 'tally' and not tallies[key] then
    tallies[key] = read_tally(redis.pcall('GET', key))
    whole = tallies[key]
  elseif shape[1] == 'lock' and not locks[key] then
    locks[key] = read_lock(redis.pcall('GET', key))
    whole = locks[key]
  elseif shape[1] == 'purse' and not purses[key] then
    purses[key] = read_purse(redis.pcall('GET', key))
    whole = purses[key]
  elseif shape[1] == 'circle' and not circles[key] then
    circles[key] = read_circle(redis.pcall('GET', key))
    whole = circles[key]
  elseif shape[1] == 'spans' then
    marks[key] = marks[key] or read_spans(redis.pcall('GET', key))
    whole = marks[key]
  elseif kind == 'X' then
    whole = read_circle(redis.pcall('GET', op.circle))
    if not whole then return redis.error_reply('CORRUPT ' .. (name + 2)) end
  elseif kind == 'F' then
    tallies[key] = tallies[key] or read_tally(redis.pcall('GET', key))
    purses[op.purse] = purses[op.purse] or read_purse(redis.pcall('GET', op.purse))
    circles[op.circle] = circles[op.circle] or read_circle(redis.pcall('GET', op.circle))
    locks[op.lock] = locks[op.lock] or read_lock(redis.pcall('GET', op.lock))
    local found = { tallies[key], newest_of(op.set), purses[op.purse], circles[op.circle], locks[op.lock] }
    for part = 1, 5 do
      if not found[part] then return redis.error_reply('CORRUPT ' .. (name + part - 2)) end
    end
  elseif shape[1] == 'set' then
    whole = newest_of(key)
    if kind == 'H' then
      marks[op.set] = marks[op.set] or read_spans(redis.pcall('GET', op.set))
      if not marks[op.set] then return redis.error_reply('CORRUPT ' .. name) end
    end
  end
  if not whole then return redis.error_reply('CORRUPT ' .. (name - 1)) end
  ops[#ops + 1] = op
  arg, name = arg + 1 + shape[2], name + shape[3]
end

-- Gives back. A connection that breaks has this sent twice; nothing comes back twice.

local again = false
for _, op in ipairs(ops) do
  if op.kind == 'N' then
    again = not redis.call('SET', op.key, '', 'NX', 'PX', 10000)
  elseif op.kind == 'B' and not again then
    if give_back(tallies[op.key], op[1], op[2], op[3]) then touched[op.key] = tallies[op.key] end
  end
end

-- Judges the gates by what was there before the call, and charges all of them or none.

local passed, pending = true, {}
for _, op in ipairs(ops) do
  if op.kind == 'G' or op.kind == 'Q' then
    local tally, cost, limit = tallies[op.key], op[1], op[2]
    -- Where credit was lent, everything counts longer, whoever asks.
    local window = math.max(op[3], tally.window)
    local sum, first = held(tally, window)
    local before = pending[op.key] or 0
    op.total, op.retry = math.min(sum + before, CAP), -1
    if sum < CAP and op.total + cost <= limit then
      op.total, op.retry = op.total + cost, -2
      pending[op.key] = before + cost
    else
      passed = false
      local room = limit - cost - before
      if room >= 0 then op.retry = relief(tally, window, first, sum - room) end
    end
  end
end

local function charge(op, born, window, cost)
  if cost == 0 then return end
  op.time = add(tallies[op.key], born, window, cost)
  op.born = tallies[op.key].born
  touched[op.key], added[op.key] = tallies[op.key], true
end

for _, op in ipairs(ops) do
  if (op.kind == 'G' or op.kind == 'Q') and passed then charge(op, op[4], op[3], op[1]) end
end
for _, op in ipairs(ops) do
  if op.kind == 'Q' and passed then
    local time
    op.slice, time = lend(tallies[op.key], op.set, op[2], op[3], op[4], op[5], op[6], op[7], op[8])
    if time then
      op.time, op.born = time, tallies[op.key].born
      touched[op.key], added[op.key] = tallies[op.key], true
    end
  end
end

-- Carries out the others in their order, and answers.

local out = { passed and 1 or 0 }
local function say(...)
  for _, number in ipairs({ ... }) do out[#out + 1] = number end
end

for _, op in ipairs(ops) do
  local kind, key = op.kind, op.key
  if kind == 'G' then
    say(op.total, op.retry, op.born or 0, op.time or 0)
  elseif kind == 'Q' then
    say(op.total, op.retry, op.born or 0, op.time or 0, op.slice or 0)
  elseif kind == 'M' then
    charge(op, op[3], op[2], op[1])
    say((held(tallies[key], op[2])), op.born or 0, op.time or 0)
  elseif kind == 'R' then
    say((held(tallies[key], op[1])))
  elseif kind == 'D' then
    say(see(key, op[1], op[2]))
  elseif kind == 'E' then
    say(admit(key, op[1], op[2], op[3]))
  elseif kind == 'U' then
    forget(key, op[1])
  elseif kind == 'C' then
    say(count_set(key, op[1]))
  elseif kind == 'L' then
    say(set_lock(key, locks[key], op[1], op[2], op[3]))
  elseif kind == 'K' then
    say(locked(locks[key]))
  elseif kind == 'A' or kind == 'P' then
    local purse, added, keep = purses[key], 0, op[1]
    if kind == 'A' then
      keep = op[4]
      if award(key, purse, op[1], op[2], op[3], keep) then added = 1 end
    end
    local list = left(purse, keep)
    say(added, #list)
    for _, award in ipairs(list) do say(award[1], award[2], math.max(now - award[3], 0)) end
  elseif kind == 'W' then
    local circle = circles[key] or read_circle(redis.call('GET', key))
    circles[key] = circle
    say(correspond(key, circle, op[1], op[2], op[3], op[4]))
  elseif kind == 'V' then
    disown(key, marks[key], now - op[1], now - op[2], op[3])
  elseif kind == 'H' then
    heed(key, marks[op.set])
  elseif kind == 'X' then
    redis.call('DEL', key, op.set, op.purse)
    tallies[key], touched[key], purses[op.purse] = read_tally(false), nil, read_purse(false)
    settle(op.circle)
    circles[op.circle] = nil
  elseif kind == 'F' then
    local before = now - op[1]
    tallies[key] = forgive_tally(key, tallies[key], before)
    touched[key] = tallies[key].count > 0 and tallies[key] or nil
    redis.call('ZREMRANGEBYSCORE', op.set, '-inf', text(before))
    forgive_purse(op.purse, purses[op.purse], before)
    circles[op.circle] = circles[op.circle] or read_circle(redis.call('GET', op.circle))
    settle_until(op.circle, circles[op.circle], before)
    end_lock(op.lock, locks[op.lock], before)
  end
end

for key, tally in pairs(touched) do write_tally(key, tally, added[key]) end
return out
