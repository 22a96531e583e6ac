-- KEYS: session, tombstone. ARGV: the tombstone's text, when it expires, channel, news. Answers with the tombstone of an
-- earlier end, with 0 when there was nothing, or with a list: whose it was.
local before = redis.call('GET', KEYS[2])
if before and before ~= ARGV[1] then
  return before
end
if before then
  -- A call that comes twice, because its answer was lost.
  return { '' }
end
-- First: who is not allowed to tell does not write.
redis.call('PUBLISH', ARGV[3], ARGV[4])
local lived = redis.call('EXISTS', KEYS[1]) == 1
local whose = lived and redis.pcall('HGET', KEYS[1], 'whose')
redis.call('DEL', KEYS[1])
-- A server that is full still forgets, but remembers nothing new.
local kept = redis.pcall('SET', KEYS[2], ARGV[1], 'PXAT', ARGV[2])
if not lived then
  if kept.err then
    return kept
  end
  return 0
end
return { type(whose) == 'string' and whose or '' }
