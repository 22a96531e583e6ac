-- KEYS: session. ARGV: last seen, expires. Answers whose it is when this is the latest use, otherwise with nothing.
local kept = redis.call('HMGET', KEYS[1], 'seen', 'whose')
if not kept[1] or tonumber(kept[1]) > tonumber(ARGV[1]) then
  return false
end
redis.call('HSET', KEYS[1], 'seen', ARGV[1])
redis.call('PEXPIREAT', KEYS[1], ARGV[2])
return kept[2]
