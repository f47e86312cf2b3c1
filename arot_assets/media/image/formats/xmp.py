"""The few texts of an XMP packet that generators write.

Belongs here: finding them in the XML. Does not belong here: what they mean (``media.image.generation``).
Source: ISO 16684-1 (XMP, part 1): a simple property is an attribute of ``rdf:Description`` or an element below it, and
one in several languages is a list of alternatives.
"""

from xml.etree.ElementTree import Element, ParseError, XMLParser

from arot_assets.media.image.formats.exif import MAX_TEXT

PNG_KEYWORD = "XML:com.adobe.xmp"
JPEG_SIGNATURE = b"http://ns.adobe.com/xap/1.0/\x00"

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_TEXTS = {
    "{http://ns.adobe.com/exif/1.0/}UserComment": "UserComment",
    "{http://purl.org/dc/elements/1.1/}description": "Description",
    "{http://ns.adobe.com/xap/1.0/}CreatorTool": "CreatorTool",
}


def read_xmp(packet: bytes) -> dict[str, str]:
    """The comment, the description and the name of the creating program, those that are there.

    A damaged packet, or one that declares entities, which XMP has no use for, has none.
    """
    if len(packet) > MAX_TEXT or b"<!" in packet:
        return {}
    parser = XMLParser()  # without a document type there is nothing that could expand
    try:
        parser.feed(packet.strip(b"\x00 \r\n\t"))
        root = parser.close()
    except (ParseError, ValueError, LookupError):  # also an encoding that does not exist
        return {}
    found: dict[str, str] = {}
    for description in root.iter(f"{_RDF}Description"):
        properties = [(child.tag, _text(child)) for child in description]
        for name, text in (*description.attrib.items(), *properties):
            if name in _TEXTS and text.strip():
                found.setdefault(_TEXTS[name], text.strip())
    return found


def _text(element: Element) -> str:
    """A property's text: its own, or that of the first of its alternatives."""
    first = next(element.iter(f"{_RDF}li"), element)
    return first.text or ""
