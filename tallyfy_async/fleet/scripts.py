"""What the processes of a fleet decide on the Redis server, each in one script, by the server's clock.

A bucket is a hash: ``tat``, the theoretical arrival time of the generic cell rate algorithm; ``queue``, when the next
one who has to come again is to come; ``until`` and ``rest``, the end of a pause and its length. Times are milliseconds.

Calls are only counted when they are about to begin, never long before: so two buckets can be asked at once, a process
that dies takes nothing with it, and a pause holds for everybody. Who must wait gets a time at which to come again,
which belongs to nobody else, so that those who wait come one by one. Where they do not come, others may. After a pause
a bucket has no burst, as those come one by one too.

Where the server forgot a bucket, it begins with one call: a failover must not allow the same calls again. Where its
clock ran backwards, as after a failover too, no time lies further ahead than it could.
"""

from typing import Final

DECIDE: Final = """
local time = redis.call('time')
local now = time[1] * 1000 + time[2] / 1000
local wanted, horizon, waited = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3] == '1'
local fleet = math.max(1, redis.call('zcount', KEYS[1], now, '+inf'))
local buckets, step, due, at, paused, queued, last = {}, 0, now, now, false, false, nil
for place = 2, #KEYS do
    local interval, burst = tonumber(ARGV[3 * place - 2]), tonumber(ARGV[3 * place - 1])
    local stored = redis.call('hmget', KEYS[place], 'tat', 'queue', 'until', 'rest')
    local slack = (burst - 1) * interval
    local tat = tonumber(stored[1]) or now + slack
    if ARGV[3 * place] == '1' then tat = math.max(tat, now + slack + interval) end
    tat = math.min(tat, now + slack + horizon + interval)
    local resume = math.min(tonumber(stored[3]) or 0, now + (tonumber(stored[4]) or 0))
    if stored[3] then tat = math.max(tat, resume + slack) end
    local queue = tonumber(stored[2]) or now
    if now - math.max(tat, resume) > 2 * interval + horizon then queue = now end
    queue = math.min(queue, math.max(now, resume) + 8 * (fleet + 1) * math.max(interval, horizon))
    local bucket = {interval = interval, slack = slack, tat = tat, resume = resume, queue = math.max(queue, resume)}
    bucket.ready = math.max(bucket.resume, tat - slack)
    buckets[place] = bucket
    step, due = math.max(step, interval), math.max(due, bucket.ready)
    if bucket.resume > now then paused = true end
    if bucket.queue > now then queued = true end
    if last == nil or math.max(bucket.queue, bucket.ready) > at then
        last, at = bucket, math.max(now, bucket.queue, bucket.ready)
    end
end
local quota = math.max(1, math.floor(horizon / step / fleet))
local answer = {0, fleet}
if due > now + horizon or (queued and not waited) or paused then
    if waited and not paused then at = due else last.queue = at + last.interval * math.min(wanted, quota) end
    answer[3] = math.ceil((at - now) * 1000)
else
    while answer[1] < wanted and due <= now + horizon and (due <= now or answer[1] < quota) do
        answer[1] = answer[1] + 1
        answer[answer[1] + 2] = math.ceil((due - now) * 1000)
        local following = now
        for place = 2, #KEYS do
            local bucket = buckets[place]
            bucket.tat = math.max(bucket.tat, due) + bucket.interval
            following = math.max(following, bucket.tat - bucket.slack)
        end
        due = following
    end
end
for place = 2, #KEYS do
    local bucket = buckets[place]
    local tat, queue = string.format('%.3f', bucket.tat), string.format('%.3f', bucket.queue)
    redis.call('hset', KEYS[place], 'tat', tat, 'queue', queue)
    if bucket.resume > now then redis.call('hset', KEYS[place], 'until', string.format('%.3f', bucket.resume)) end
    local life = math.max(bucket.tat, bucket.queue, bucket.resume) - now + 600000
    redis.call('pexpire', KEYS[place], math.ceil(life))
end
return answer
"""
"""Keys: the members, then one bucket or two. Arguments: how many calls wait, how far ahead one may be granted, whether
the caller came again when it was told to; for each bucket its interval, its burst, and whether it was used without the
server, so that nothing is left of it. Answer: how many may begin, of how many processes, and microseconds: when
each of them may, or else when to come again."""

PAUSE: Final = """
local time = redis.call('time')
local now = time[1] * 1000 + time[2] / 1000
local stored = redis.call('hmget', KEYS[1], 'until', 'rest')
local resume, rest = now + ARGV[1], tonumber(ARGV[1])
local before = math.min(tonumber(stored[1]) or 0, now + (tonumber(stored[2]) or 0))
if before >= resume then return 0 end
redis.call('hset', KEYS[1], 'until', string.format('%.3f', resume), 'rest', rest)
if redis.call('pttl', KEYS[1]) < rest + 600000 then redis.call('pexpire', KEYS[1], math.ceil(rest + 600000)) end
return 1
"""
"""Key: a bucket. Argument: milliseconds. A longer pause stays."""

ATTEND: Final = """
local time = redis.call('time')
local now = time[1] * 1000 + time[2] / 1000
local me, most, running, wanted, had = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6] == '1'
local known = redis.call('zscore', KEYS[1], me) and 1 or 0
local latest = string.format('%.3f', now + ARGV[2])
redis.call('zadd', KEYS[1], latest, me)
redis.call('pexpire', KEYS[1], 10 * ARGV[2])
for _, ahead in ipairs(redis.call('zrangebyscore', KEYS[1], '(' .. latest, '+inf')) do
    redis.call('zadd', KEYS[1], latest, ahead)
end
for _, gone in ipairs(redis.call('zrangebyscore', KEYS[1], '-inf', now)) do
    redis.call('zrem', KEYS[1], gone)
    redis.call('hdel', KEYS[2], gone)
end
local fleet = redis.call('zcard', KEYS[1])
if most == 0 then return {known, fleet, 0} end
local others, active, unmet = 0, 1, false
local held = redis.call('hgetall', KEYS[2])
for place = 1, #held, 2 do
    local granted, want = string.match(held[place + 1], '^(%d+) (%d+)$')
    if held[place] ~= me then
        others = others + granted
        if tonumber(want) > 0 then active = active + 1 end
        if tonumber(want) > tonumber(granted) then unmet = true end
    end
end
local limit = most
if unmet then
    limit = math.ceil(most / active)
    if active > most and had then limit = 0 end
end
local granted = math.max(running, math.min(wanted, most - others, limit))
redis.call('hset', KEYS[2], me, granted .. ' ' .. wanted)
redis.call('pexpire', KEYS[2], 10 * ARGV[2])
return {known, fleet, granted}
"""
"""Keys: the members by the ends of their leases, and what they hold and want. Arguments: who, for how many
milliseconds, the slots of the fleet or 0, how many calls run, run or wait, and whether any slot was held. Answer:
whether the member was known, how many members there are, and how many slots it may use, never fewer than it uses. Where
others lack slots, nobody gets more than an equal part, and where there are fewer slots than members, who had one goes
to the end."""

LEAVE: Final = """
redis.call('hdel', KEYS[2], ARGV[1])
return redis.call('zrem', KEYS[1], ARGV[1])
"""
"""Keys as above. Argument: who."""
