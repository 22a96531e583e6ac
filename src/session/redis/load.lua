-- KEYS: session, tombstone. Answers with revision, bytes and last seen; or with the tombstone; or with nothing.
local kept = redis.call('HMGET', KEYS[1], 'revision', 'bytes', 'seen')
if kept[1] then
  return kept
end
return redis.call('GET', KEYS[2])
