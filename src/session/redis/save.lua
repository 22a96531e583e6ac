-- KEYS: session. ARGV: bytes, last seen, expires, whose, the revision it is based on, the next one, a name for this call,
-- channel, news. Answers 1 when it is written, with what is kept when that has another revision, or with nothing.
local kept = redis.call('HMGET', KEYS[1], 'revision', 'bytes', 'seen', 'call')
if not kept[1] then
  return false
end
if kept[1] ~= ARGV[5] then
  -- A call that comes twice, because its answer was lost, finds what it wrote.
  if kept[4] == ARGV[7] then
    return 1
  end
  return { kept[1], kept[2], kept[3] }
end
-- First: who is not allowed to tell does not write.
redis.call('PUBLISH', ARGV[8], ARGV[9])
local seen, expires = ARGV[2], ARGV[3]
if tonumber(kept[3]) > tonumber(seen) then
  -- It was used since it was read.
  seen = kept[3]
  local before = redis.call('PEXPIRETIME', KEYS[1])
  if before > tonumber(expires) then
    expires = string.format('%.0f', before)
  end
end
redis.call('HSET', KEYS[1], 'revision', ARGV[6], 'bytes', ARGV[1], 'seen', seen, 'whose', ARGV[4], 'call', ARGV[7])
redis.call('PEXPIREAT', KEYS[1], expires)
return 1
