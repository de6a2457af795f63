"""Upload, list, download and delete documents."""

from __future__ import annotations

from pathlib import PurePosixPath

from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from .forms import DocumentForm
from .models import Document


@require_http_methods(["GET", "POST"])
def index(request: HttpRequest) -> HttpResponse:
    """List the documents, and take a new one."""
    form = DocumentForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.save()
        return redirect("index")
    return render(request, "documents/index.html", {"form": form, "documents": Document.objects.order_by("pk")})


@require_GET
def download(request: HttpRequest, pk: int) -> FileResponse:
    """Send a document: through the site, because only the site can decrypt it."""
    document = get_object_or_404(Document, pk=pk)
    return FileResponse(document.file.open("rb"), as_attachment=True, filename=PurePosixPath(document.file.name).name)


@require_POST
def delete(request: HttpRequest, pk: int) -> HttpResponse:
    """Delete a document and its file."""
    document = get_object_or_404(Document, pk=pk)
    document.file.delete(save=False)
    document.delete()
    return redirect("index")
