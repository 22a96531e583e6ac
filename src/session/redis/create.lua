-- KEYS: session, tombstone. ARGV: bytes, last seen, expires, whose. Answers 0 when it had ended before it began.
-- A call that comes twice, because its answer was lost, finds its session there and leaves it as it is by now.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return 0
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('HSET', KEYS[1], 'revision', '1', 'bytes', ARGV[1], 'seen', ARGV[2], 'whose', ARGV[4])
  redis.call('PEXPIREAT', KEYS[1], ARGV[3])
end
return 1
