#!/usr/bin/env python3
"""Draws the pictures of docs/observability.md from what running processes say; `make` beside it runs them.

  draw.py take PORT FILE                  an OTLP/HTTP collector that writes every span into FILE, one JSON a line
  draw.py trace FILE ROOT                 the newest trace in FILE whose first span is named ROOT, as Jaeger shows it
  draw.py board FILE PROMETHEUS           a board of Grafana with the figures that Prometheus has
  draw.py exemplar FILE ROOT BOARD PROMETHEUS   from a panel's exemplar to its trace
"""
import http.server
import json
import sys
import time
import urllib.parse
import urllib.request
from html import escape

INK, FAINT, LINE, PAPER = "#24292f", "#6e7781", "#d8dee4", "#ffffff"
COLOURS = ["#3b78b5", "#d1742f", "#3f8f4f", "#8a5fb0", "#b8433f", "#7a6a58", "#2f9a9a", "#a8893a"]
SPAN = 60  # seconds that a panel shows
# What `make` runs, as a deployment calls it.
NAMES = {"127.0.0.1:19101": "edge:9101", "127.0.0.1:19102": "ingest:9102", "127.0.0.1:19103": "collector-facebook:9103",
         "127.0.0.1:19104": "collector-tiktok:9104", "127.0.0.1:19105": "reporting:9105"}
SERVICES = {"edge": 0, "ingest": 1, "facebook-collector": 2, "tiktok-collector": 3, "reporting": 3, "weir": 0}


# Spans, as OTLP writes them: protocol buffers, of which only what is drawn is read.

def fields(data):
    at = 0
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value
    while at < len(data):
        tag = varint()
        kind = tag & 7
        if kind == 0:
            yield tag >> 3, varint()
            continue
        length = {1: 8, 5: 4}.get(kind) or varint()
        yield tag >> 3, data[at:at + length]
        at += length


def attribute(data):
    pair = dict(fields(data))
    value = next(fields(pair.get(2, b"")), (0, b""))[1]
    return pair[1].decode(), value.decode(errors="replace") if isinstance(value, bytes) else value


def spans(request):
    for _, resource_spans in fields(request):
        service = ""
        for number, part in fields(resource_spans):
            if number == 1:
                resource = dict(attribute(pair) for inner, pair in fields(part) if inner == 1)
                service = resource.get("service.name", "")
            elif number == 2:
                for inner, span in fields(part):
                    if inner == 2:
                        yield read_span(service, span)


def read_span(service, data):
    span = {"service": service, "parent": "", "links": [], "attributes": {}}
    for number, value in fields(data):
        match number:
            case 1: span["trace"] = value.hex()
            case 2: span["id"] = value.hex()
            case 4: span["parent"] = value.hex()
            case 5: span["name"] = value.decode()
            case 7: span["start"] = int.from_bytes(value, "little")
            case 8: span["end"] = int.from_bytes(value, "little")
            case 9: span["attributes"].update([attribute(value)])
            case 13: span["links"].append(dict(fields(value))[2].hex())
    return span


def take(port, path):
    class Collector(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            with open(path, "a") as file:
                file.writelines(json.dumps(span) + "\n" for span in spans(body))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Collector).serve_forever()


# Drawing.

def text(x, y, words, size=12, colour=INK, weight=400, anchor="start"):
    return (f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" font-weight="{weight}" '
            f'text-anchor="{anchor}">{escape(str(words))}</text>')


def box(x, y, width, height, fill=PAPER, stroke="none", round=0):
    return f'<rect x="{x:g}" y="{y:g}" width="{max(width, 0):g}" height="{height:g}" rx="{round}" fill="{fill}" stroke="{stroke}"/>'


def line(x1, y1, x2, y2, colour=LINE, dashes=""):
    return f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{colour}" stroke-dasharray="{dashes}"/>'


def picture(width, height, parts):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:g}" '
        'font-family="Inter, Segoe UI, Helvetica, Arial, sans-serif">',
        box(0, 0, width, height), *parts, "</svg>"])


def lasted(nanoseconds):
    return f"{nanoseconds / 1e6:.2f} ms" if nanoseconds < 1e9 else f"{nanoseconds / 1e9:.2f} s"


# A trace.

def newest(path, root, traces=None):
    known = [json.loads(each) for each in open(path)]
    by_id = {span["id"]: span for span in known}
    stored = {span["trace"] for span in known if span["name"].startswith(("BATCH", "SELECT"))}
    roots = (span for span in known if span["name"] == root and span["trace"] in (stored if traces is None else stored & traces))
    first = max(roots, key=lambda span: span["start"])
    rows = []

    def add(span, depth):
        rows.append((span, depth))
        children = [other for other in known if other["parent"] == span["id"]]
        for child in sorted(children, key=lambda child: child["start"]):
            add(child, depth + 1)

    add(first, 0)
    return rows, by_id


def waterfall(rows, by_id, x, y, width, names=430):
    begin, end = min(s["start"] for s, _ in rows), max(s["end"] for s, _ in rows)
    root = rows[0][0]
    services = len({span["service"] for span, _ in rows})
    parts = [text(x, y + 18, f"{root['service']}: {root['name']}", 16, weight=600),
             text(x + width, y + 18, root["trace"], 11, FAINT, anchor="end"),
             text(x, y + 38, f"Duration {lasted(end - begin)} · Services {services} · Depth "
                  f"{1 + max(depth for _, depth in rows)} · Total spans {len(rows)}", 11, FAINT)]
    top, left = y + 54, x + names
    bars = width - names - 64
    parts.append(box(x, top, width, 22, "#f6f8fa"))
    parts.append(text(x + 8, top + 15, "Service & operation", 11, FAINT))
    for quarter in range(5):
        at = left + bars * quarter / 4
        parts.append(text(at, top + 15, lasted((end - begin) * quarter / 4), 10, FAINT))
        parts.append(line(at, top + 22, at, top + 22 + 26 * len(rows)))
    for index, (span, depth) in enumerate(rows):
        row = top + 22 + 26 * index
        colour = COLOURS[SERVICES.get(span["service"], 5)]
        indent = x + 8 + 16 * depth
        parts.append(box(indent, row + 4, 3, 18, colour))
        parts.append(text(indent + 9, row + 17, span["service"], 11, weight=600))
        after = indent + 9 + 6.7 * len(span["service"]) + 8
        parts.append(text(after, row + 17, span["name"], 10.5, FAINT))
        start = left + bars * (span["start"] - begin) / (end - begin)
        long = max(2, bars * (span["end"] - span["start"]) / (end - begin))
        parts.append(box(start, row + 7, long, 12, colour, round=2))
        parts.append(text(start + long + 5, row + 17, lasted(span["end"] - span["start"]), 10, FAINT))
        parts.append(line(x, row + 26, x + width, row + 26))
    return parts, top + 22 + 26 * len(rows)


def details(rows, by_id, x, y, width):
    """What a click on the span that was stored with others shows."""
    chosen = next((span for span, _ in rows if any(link in by_id for link in span["links"])), rows[0][0])
    shown = ["messaging.message.id", "weir.correlation_id", "weir.delivery.attempt", "messaging.consumer.group.name",
             "messaging.destination.name", "http.route", "http.response.status_code"]
    lines = [(name, chosen["attributes"][name]) for name in shown if name in chosen["attributes"]]
    references = [by_id[link] for link in chosen["links"] if link in by_id]
    height = 36 + 18 * (len(lines) + len(references)) + (20 if references else 0)
    parts = [box(x, y, width, height, "#f6f8fa", LINE, 4),
             text(x + 12, y + 20, f"{chosen['service']}  {chosen['name']}", 12, weight=600)]
    at = y + 40
    for name, value in lines:
        parts += [text(x + 24, at, name, 11, FAINT), text(x + 250, at, value, 11)]
        at += 18
    if references:
        parts.append(text(x + 12, at, "References", 12, weight=600))
        at += 18
    for span in references:
        parts += [text(x + 24, at, f"{span['service']}  {span['name']}", 11, COLOURS[0]),
                  text(x + 300, at, f"span {span['id']} of trace {span['trace']}", 10.5, FAINT)]
        at += 18
    return parts, y + height


def trace(path, root):
    rows, by_id = newest(path, root)
    parts, bottom = waterfall(rows, by_id, 20, 8, 1060)
    more, bottom = details(rows, by_id, 20, bottom + 14, 1060)
    return picture(1100, bottom + 16, parts + more)


# A board.

def ask(prometheus, what, **parameters):
    url = f"{prometheus}/api/v1/{what}?{urllib.parse.urlencode(parameters)}"
    with urllib.request.urlopen(url) as answer:
        return json.load(answer)["data"]


def curves(panel, prometheus, end, span):
    for target in panel.get("targets", []):
        found = ask(prometheus, "query_range", query=target["expr"], start=end - span, end=end, step=5)["result"]
        for series in found:
            name = target.get("legendFormat", "")
            for label, value in series["metric"].items():
                value = NAMES.get(value, value)
                name = name.replace("{{" + label + "}}", value).replace("{{ " + label + " }}", value)
            points = [(at, float(value)) for at, value in series["values"] if value not in ("NaN", "+Inf")]
            if points:
                yield name, points


def number(value, unit):
    if unit == "s":
        return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"
    if unit in ("percentunit",):
        return f"{value * 100:.3g} %"
    for factor, letter in ([(2**30, " GiB"), (2**20, " MiB")] if unit == "bytes" else [(1e6, " M"), (1e3, " k")]):
        if value >= factor:
            return f"{value / factor:.3g}{letter}"
    return f"{value:.3g}"


def panel_parts(panel, series, x, y, width, height, end, span):
    unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit")
    parts = [box(x, y, width, height, PAPER, LINE, 3), text(x + 8, y + 16, panel["title"], 11.5, weight=600)]
    if panel["type"] == "stat":
        words = [name if name and panel["options"].get("textMode") == "name" else number(points[-1][1], unit)
                 for name, points in series]
        return parts + [text(x + width / 2, y + height / 2 + 16, " / ".join(words[:2]), 22, COLOURS[2], 600, "middle")]
    left, right, top, bottom = x + 56, x + width - 10, y + 28, y + height - 40
    most = max((value for _, points in series for _, value in points), default=0) or 1
    for part in range(3):
        at = bottom - (bottom - top) * part / 2
        parts += [line(left, at, right, at), text(left - 5, at + 4, number(most * part / 2, unit), 9, FAINT, anchor="end")]
    for index, (_, points) in enumerate(series):
        place = lambda at, value: f"{left + (right - left) * (at - end + span) / span:.1f},{bottom - (bottom - top) * value / most:.1f}"
        parts.append(f'<polyline fill="none" stroke="{COLOURS[index % 8]}" stroke-width="1.4" points="'
                     + " ".join(place(*point) for point in points) + '"/>')
    at, row = left - 44, bottom + 18
    for index, (name, _) in enumerate(series):
        if at + 18 + 5.6 * len(name) > right:
            at, row = left - 44, row + 13
            if row > y + height - 4:
                break
        parts += [box(at, row - 7, 9, 3, COLOURS[index % 8]), text(at + 13, row, name, 9.5, FAINT)]
        at += 26 + 5.6 * len(name)
    return parts


def board(path, prometheus, span=SPAN):
    shown, end = json.load(open(path)), time.time()
    parts, height = [text(14, 24, shown["title"], 16, weight=600)], 0
    for panel in shown["panels"]:
        if panel["type"] == "text" or panel["title"] == "One event":
            continue
        place = panel["gridPos"]
        x, y = 10 + place["x"] * 45, 36 + place["y"] * 24
        height = max(height, y + place["h"] * 24)
        if panel["type"] == "row":
            parts.append(text(x + 4, y + 16, panel["title"], 12, FAINT, 600))
            continue
        series = sorted(curves(panel, prometheus, end, span))
        parts += panel_parts(panel, series, x, y, place["w"] * 45 - 6, place["h"] * 24 - 6, end, span)
    return picture(1100, height + 10, parts)


# From an exemplar to its trace.

def exemplar(path, root, board_path, prometheus, span=SPAN):
    end = time.time()
    panel = next(each for each in json.load(open(board_path))["panels"] if each["title"] == "Webhooks: latency")
    series = sorted(curves(panel, prometheus, end, span))
    parts = [text(20, 26, "1. A diamond in Grafana", 13, weight=600), *panel_parts(panel, series, 20, 36, 700, 240, end, span)]
    most = max(value for _, points in series for _, value in points)
    query = panel["targets"][-1]["expr"]
    found = ask(prometheus, "query_exemplars", query=query, start=end - span, end=end)
    diamonds = [each for one in found for each in one["exemplars"]]
    rows, by_id = newest(path, root, {each["labels"]["trace_id"] for each in diamonds})
    for each in diamonds:
        x = 76 + 634 * (float(each["timestamp"]) - end + span) / span
        y = 236 - 172 * min(1, float(each["value"]) / most)
        chosen = each["labels"]["trace_id"] == rows[0][0]["trace"]
        parts.append(f'<path d="M{x:.1f} {y - 5:.1f} l5 5 l-5 5 l-5 -5 z" fill="{COLOURS[4] if chosen else COLOURS[0]}"/>')
        if chosen:
            parts.append(line(x + 6, y, 740, 96, COLOURS[4], "3 3"))
            value = float(each["value"])
    parts += [box(740, 60, 340, 106, "#f6f8fa", LINE, 4), text(754, 82, "Exemplar", 12, weight=600),
              text(754, 104, "trace_id", 11, FAINT), text(820, 104, rows[0][0]["trace"], 11),
              text(754, 124, "value", 11, FAINT), text(820, 124, number(value, "s"), 11),
              box(754, 134, 110, 22, "#e7eff8", COLOURS[0], 3), text(809, 149, "Trace in Jaeger", 11, COLOURS[0], 600, "middle"),
              line(809, 156, 809, 296, COLOURS[0], "3 3"), text(20, 312, "2. Its trace in Jaeger", 13, weight=600)]
    more, bottom = waterfall(rows, by_id, 20, 318, 1060)
    return picture(1100, bottom + 16, parts + more)


COMMANDS = {"take": take, "trace": trace, "board": board, "exemplar": exemplar}

if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    drawn = COMMANDS[sys.argv[1]](*sys.argv[2:])
    if drawn:
        print(drawn)
