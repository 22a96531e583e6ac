<?php
// An application in PHP that keeps nothing and remembers everything: Cloakroom does it.
// php -S 127.0.0.1:3000 php_app.php

const KEY = '[a-z*][a-z0-9_.*-]*';
const VALUE = '"(?:[^"\\\\]|\\\\["\\\\])*"|%"[^"]*"|\?[01]|-?\d+(?:\.\d+)?';

/** A dictionary of RFC 9651 as an array; an empty one if it cannot be read. */
function parse(string $field): array
{
    $member = '/\G[ \t]*(' . KEY . ')(?:=(' . VALUE . '))?(?:; *' . KEY . '(?:=(?:' . VALUE . '))?)*[ \t]*(?:,|$)/';
    [$members, $at] = [[], 0];
    while ($at < strlen($field)) {
        if (!preg_match($member, $field, $found, PREG_UNMATCHED_AS_NULL, $at)) {
            return [];
        }
        $members[$found[1]] = isset($found[2]) ? value($found[2]) : true;
        $at += strlen($found[0]);
    }
    return $members;
}

function value(string $item): string|int|float|bool
{
    return match ($item[0]) {
        '%' => rawurldecode(substr($item, 2, -1)),
        '"' => preg_replace('/\\\\(.)/', '$1', substr($item, 1, -1)),
        '?' => $item === '?1',
        default => $item + 0,
    };
}

/** A string, or a display string if it goes beyond ASCII. */
function text(string $words): string
{
    if (preg_match('/^[ -~]*$/D', $words)) {
        return '"' . addcslashes($words, '"\\') . '"';
    }
    $encode = fn (array $found): string => '%' . bin2hex($found[0]);
    return '%"' . preg_replace_callback('/[^ !#$&-~]/', $encode, $words) . '"';
}

if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    header('Location: ./', true, 303);
    switch (basename(parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH))) {
        case 'theme':
            if (in_array($_POST['theme'] ?? '', ['dark', 'light'], true)) {
                header('Session-Set: shared.theme=' . text($_POST['theme']) . ';max-age=2592000');
            }
            break;
        case 'message':
            header('Session-Set: message=' . text($_POST['text'] ?? '') . ';flash');
            break;
        case 'sign-out':
            header('Session-Logout: this');
    }
    exit;
}

$data = parse($_SERVER['HTTP_SESSION_DATA'] ?? '');
$user = rawurldecode($_SERVER['HTTP_X_AUTH_NAME'] ?? $_SERVER['HTTP_X_AUTH_USER'] ?? 'stranger');
$theme = ($data['shared.theme'] ?? '') === 'dark' ? 'dark' : 'light';
header('Content-Type: text/html; charset=utf-8');
header('Cache-Control: no-store');
header('Session-Add: visits=1');
?>
<!doctype html>
<html lang="en" data-theme="<?= $theme ?>"><head><meta charset="utf-8"><title>PHP</title>
<style>:root { color-scheme: light } [data-theme=dark] { color-scheme: dark }</style></head>
<body><main><?php if (isset($data['message'])): ?><p role="status"><?= htmlspecialchars($data['message']) ?></p><?php endif ?>
<h1>Hello, <?= htmlspecialchars($user) ?></h1><p>Visits: <?= ($data['visits'] ?? 0) + 1 ?></p>
<form method="post" action="theme"><button name="theme" value="dark">Dark</button>
<button name="theme" value="light">Light</button></form>
<form method="post" action="message"><label>Message <input name="text"></label><button>Send</button></form>
<form method="post" action="sign-out"><button>Sign out</button></form></main></body></html>
