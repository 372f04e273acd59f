"""Values of custom fields of templates and their parts. No route sets one value alone: read, edit, replace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import frozen

from tallyfy_async.engine.plan import RequestOptions
from tallyfy_async.resources.custom_fields import (
    DELETE_CAPTURE,
    DELETE_CHECKLIST,
    DELETE_PRERUN,
    DELETE_STEP,
    GET_CAPTURE,
    GET_CHECKLIST,
    GET_PRERUN,
    GET_STEP,
    REPLACE_CAPTURE,
    REPLACE_CHECKLIST,
    REPLACE_PRERUN,
    REPLACE_STEP,
    CustomFields,
)


@frozen(eq=False)
class ChecklistCustomFields(CustomFields):
    """Values of templates; a run inherits them when it is launched."""

    async def get(self, checklist_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a template (contract: get_checklist_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(GET_CHECKLIST, {"checklist_id": checklist_id}, options)

    async def replace(
        self, checklist_id: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a template; keys left out are cleared (contract: replace_checklist_custom_fields)."""
        return await self._replace(REPLACE_CHECKLIST, {"checklist_id": checklist_id}, values, options)

    async def delete(self, checklist_id: str, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a template (contract: delete_checklist_custom_field)."""
        await self._call(DELETE_CHECKLIST, {"checklist_id": checklist_id, "key": key}, options=options)


@frozen(eq=False)
class StepCustomFields(CustomFields):
    """Values of steps; a task inherits them when its run is launched."""

    async def get(self, checklist_id: str, step_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a step (contract: get_step_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(GET_STEP, {"checklist_id": checklist_id, "step_id": step_id}, options)

    async def replace(
        self, checklist_id: str, step_id: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a step; keys left out are cleared (contract: replace_step_custom_fields)."""
        return await self._replace(REPLACE_STEP, {"checklist_id": checklist_id, "step_id": step_id}, values, options)

    async def delete(self, checklist_id: str, step_id: str, key: str, *, options: RequestOptions | None = None) -> None:
        """Remove one value of a step (contract: delete_step_custom_field)."""
        await self._call(DELETE_STEP, {"checklist_id": checklist_id, "step_id": step_id, "key": key}, options=options)


@frozen(eq=False)
class CaptureCustomFields(CustomFields):
    """Values of form fields of steps: notes on the field, not answers."""

    async def get(
        self, checklist_id: str, step_id: str, capture_id: str, *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Read the values of a form field (contract: get_capture_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(
            GET_CAPTURE, {"checklist_id": checklist_id, "step_id": step_id, "capture_id": capture_id}, options
        )

    async def replace(
        self,
        checklist_id: str,
        step_id: str,
        capture_id: str,
        values: Mapping[str, Any],
        *,
        options: RequestOptions | None = None,
    ) -> dict[str, Any]:
        """Replace all values of a form field; keys left out are cleared (contract: replace_capture_custom_fields)."""
        return await self._replace(
            REPLACE_CAPTURE,
            {"checklist_id": checklist_id, "step_id": step_id, "capture_id": capture_id},
            values,
            options,
        )

    async def delete(
        self, checklist_id: str, step_id: str, capture_id: str, key: str, *, options: RequestOptions | None = None
    ) -> None:
        """Remove one value of a form field (contract: delete_capture_custom_field)."""
        await self._call(
            DELETE_CAPTURE,
            {"checklist_id": checklist_id, "step_id": step_id, "capture_id": capture_id, "key": key},
            options=options,
        )


@frozen(eq=False)
class PrerunCustomFields(CustomFields):
    """Values of kick-off fields: notes on the field, not answers."""

    async def get(self, checklist_id: str, prerun_id: str, *, options: RequestOptions | None = None) -> dict[str, Any]:
        """Read the values of a kick-off field (contract: get_prerun_custom_fields).

        Inferred: no official document shows it; the record itself has them as ``custom_fields``.
        """
        return await self._get(GET_PRERUN, {"checklist_id": checklist_id, "prerun_id": prerun_id}, options)

    async def replace(
        self, checklist_id: str, prerun_id: str, values: Mapping[str, Any], *, options: RequestOptions | None = None
    ) -> dict[str, Any]:
        """Replace all values of a kick-off field; keys left out are cleared.

        Source: contract: replace_prerun_custom_fields.
        """
        return await self._replace(
            REPLACE_PRERUN, {"checklist_id": checklist_id, "prerun_id": prerun_id}, values, options
        )

    async def delete(
        self, checklist_id: str, prerun_id: str, key: str, *, options: RequestOptions | None = None
    ) -> None:
        """Remove one value of a kick-off field (contract: delete_prerun_custom_field)."""
        await self._call(
            DELETE_PRERUN, {"checklist_id": checklist_id, "prerun_id": prerun_id, "key": key}, options=options
        )
